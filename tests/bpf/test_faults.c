/* What the tables cannot show: helpers that fail, and a slot that changes while it is read. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

/* A reply longer than the request. */
#define LONG_VALUE                                                                                                     \
    SET(value, (uintptr_t)HUNDRED), SET(value_len, 100), SET(reply, (uintptr_t) "$100\r\n" HUNDRED "\r\n"),            \
        SET(reply_len, 108)
/* One just as long. */
#define EQUAL_VALUE                                                                                                    \
    SET(value, (uintptr_t) "thirteen byte"), SET(value_len, 13), SET(reply, (uintptr_t) "$13\r\nthirteen byte\r\n"),   \
        SET(reply_len, REQ)
/* The exchange of the picture, but with the long reply. */
#define LONG_OPEN OPEN, LONG_VALUE, SET(tcp.x.dout, 40 + 108), SET(tcp.x.reply_len, 108)

static const struct row no_growth[] = {
    ROW("TC: the packet cannot grow: passed as it came", ONLY_TC, WHEN(LONG_VALUE), PASS, WC_CTR_PASS_GROW, THEN(UP)),
    ROW("XDP: the same", ONLY_XDP, WHEN(LONG_VALUE), RAW, WC_CTR_PASS_GROW, THEN()),
    ROW("padding leaves room for the reply: no need to", 0, WHEN(LONG_VALUE, SET(in.padding, 88)), ANSWER, NO_COUNTER,
        THEN()),
    ROW("as long as the request: no need to", 0, WHEN(EQUAL_VALUE), ANSWER, NO_COUNTER, THEN()),
    ROW("a replay that cannot grow", 0,
        WHEN(LONG_OPEN, SET(in.len, 0), SET(in.flags, PKT_ACK), SET(in.seq, C_IN + REQ)), DROP, WC_CTR_DROPPED_REPLAYS,
        THEN()),
};

static void test_no_growth(void **state)
{
    struct fix *f = *state;

    f->fault = FAULT_RESIZE;
    table_run(f, no_growth, LEN(no_growth), FIX_TC_IN);
    table_run(f, no_growth, LEN(no_growth), FIX_XDP);
    f->fault = FAULT_NONE;
}

/* Bring `s` into the maps and its packet through a program. */
static void send(struct fix *f, const struct scene *s, enum fix_hook hook, struct wc_conn *conn, struct fix_run *r)
{
    struct pkt in;

    if (conn)
        scene_install(f, s, conn);
    pkt_build(&in, &s->in);
    fix_run(f, hook, &in, NULL, r);
}

/* Committed, but the reply could not be written: dropped. The request comes again and gets the saved reply. */
static void test_committed_not_sent(void **state)
{
    struct fix *f = *state;

    for (int bits = 0; bits < 8; bits++) {
        struct variant v = {.hook = bits & 1 ? FIX_XDP : FIX_TC_IN, .v6 = bits & 2, .ts = bits & 4};
        struct pkt_spec reply;
        struct wc_conn conn;
        struct fix_run r;
        struct scene s;

        scene_quiet(&s, &v);
        f->fault = FAULT_STORE;
        send(f, &s, v.hook, &conn, &r);
        f->fault = FAULT_NONE;
        assert_int_equal(r.verdict, FIX_DROPPED);
        assert_true(fix_conn_get(f, &conn.self, &conn));
        assert_int_equal(conn.tcp.x.reply_len, REP);

        send(f, &s, v.hook, NULL, &r);
        assert_int_equal(r.verdict, FIX_SENT);
        scene_reply(&s, C_OUT, C_IN + REQ, v.hook, &reply);
        reply.ip_frag = 0;
        reply.ip_id = C_OUT;
        assert_true(scene_same_reply(&reply, &s, &r, &r.out));
    }
}

/* The reply goes out as a copy, but the packet cannot become the bare ACK: dropped, the stack has to ask again. */
static void test_feed_lost(void **state)
{
    struct fix *f = *state;
    struct variant v = {.hook = FIX_TC_IN, .ts = true};
    struct pkt_spec reply;
    struct wc_conn conn;
    struct pkt sent;
    struct fix_run r;
    struct scene s;

    scene_quiet(&s, &v);
    s.value = "thirteen byte";
    s.value_len = 13;
    s.reply = "$13\r\nthirteen byte\r\n";
    s.reply_len = REQ;
    s.tcp.fed_ack = K_OUT - 5;
    fix_capture_flush(f);
    f->fault = FAULT_RESIZE;
    send(f, &s, FIX_TC_IN, &conn, &r);
    f->fault = FAULT_NONE;
    assert_int_equal(r.verdict, FIX_DROPPED);
    if (f->capture < 0)
        return;
    assert_true(fix_captured(f, &sent));
    scene_reply(&s, C_OUT, C_IN + REQ, FIX_TC_IN, &reply);
    assert_true(scene_same_reply(&reply, &s, &r, &sent));
}

/* ---- a slot that changes while it is read ---- */

struct writer {
    struct fix *f;
    atomic_bool stop;
    bool move; /* the slot goes to another key and back; else its value changes */
    char a[1000], b[700];
};

static void *write_values(void *arg)
{
    struct writer *w = arg;

    while (!atomic_load(&w->stop)) {
        fix_set(w->f, "k", 1, w->a, sizeof(w->a));
        fix_set(w->f, "k", 1, w->b, sizeof(w->b));
        fix_set(w->f, "k", 1, NULL, 0);
    }
    return NULL;
}

static void *move_slot(void *arg)
{
    struct writer *w = arg;
    struct wc_key k = {"k", 1, wc_store_hash("k", 1)}, x = {"x", 1, wc_store_hash("x", 1)};
    uint32_t slot = w->f->slot_k;

    while (!atomic_load(&w->stop)) {
        wc_mirror_revoke(&w->f->mirror, slot);
        wc_mirror_assign(&w->f->mirror, slot, &x);
        wc_mirror_revoke(&w->f->mirror, slot);
        wc_mirror_assign(&w->f->mirror, slot, &k);
    }
    return NULL;
}

/* Which of the values of "k" is this reply? 0, 1; 2: null; -1: none of them. */
static int which_value(const struct writer *w, const struct pkt *p)
{
    struct pkt_view v;

    if (!pkt_parse(p->data, p->len, &v) || !v.sum_ok)
        return -1;
    if (v.len == 1009 && !memcmp(v.payload, "$1000\r\n", 7) && !memcmp(v.payload + 7, w->a, 1000))
        return 0;
    if (v.len == 708 && !memcmp(v.payload, "$700\r\n", 6) && !memcmp(v.payload + 6, w->b, 700))
        return 1;
    return v.len == 5 && !memcmp(v.payload, "$-1\r\n", 5) ? 2 : -1;
}

static void race(struct fix *f, enum fix_hook hook, bool move)
{
    struct writer w = {.f = f, .move = move};
    struct variant v = {.hook = hook, .ts = true};
    unsigned seen[3] = {0}, passed = 0;
    struct wc_conn conn;
    struct scene s;
    pthread_t thread;

    memset(w.a, 'a', sizeof(w.a));
    memset(w.b, 'b', sizeof(w.b));
    scene_quiet(&s, &v);
    s.value = w.a;
    s.value_len = sizeof(w.a);
    scene_install(f, &s, &conn);
    fix_set(f, "x", 1, w.b, sizeof(w.b)); /* never an answer for "k" while the slot moves */
    assert_int_equal(pthread_create(&thread, NULL, move ? move_slot : write_values, &w), 0);
    for (uint64_t until = fix_now() + 1000000000; fix_now() < until;) {
        struct fix_run r;
        int which;

        fix_conn_put(f, &conn.self, &conn);
        send(f, &s, hook, NULL, &r);
        if (r.verdict == FIX_NEXT) {
            passed++;
            continue;
        }
        assert_int_equal(r.verdict, FIX_SENT);
        which = which_value(&w, &r.out);
        assert_in_range(which, 0, 2);
        seen[which]++;
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    printf("    replies: %u %u, null %u; passed %u\n", seen[0], seen[1], seen[2], passed);
    if (move)
        assert_int_equal(seen[1] + seen[2], 0);
}

static void test_value_changes(void **state)
{
    race(*state, FIX_XDP, false);
    race(*state, FIX_TC_IN, false);
}

static void test_slot_moves(void **state)
{
    race(*state, FIX_XDP, true);
    race(*state, FIX_TC_IN, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_growth),  cmocka_unit_test(test_committed_not_sent),
        cmocka_unit_test(test_feed_lost),  cmocka_unit_test(test_value_changes),
        cmocka_unit_test(test_slot_moves),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
