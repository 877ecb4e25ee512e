/* Frames made of valid ones by random mutation (WC_FUZZ_SEED, WC_FUZZ_ROUNDS):
 *
 *   no connection is known      nothing may ever be changed, answered or dropped
 *   a quiet connection          answered if and only if an independent reading of the frame says that it is the GET, in
 *                               the right place, with a right checksum; else unchanged (its deltas are zero)
 *   a connection with deltas    what goes on differs in the numbers, SACK blocks and checksum alone, and a right
 * checksum stays right
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table.h"

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 16) % n;
}

static unsigned rounds(void)
{
    const char *seed = getenv("WC_FUZZ_SEED"), *n = getenv("WC_FUZZ_ROUNDS");
    unsigned count = n ? strtoul(n, NULL, 0) : 100000;

    random_state = seed ? strtoull(seed, NULL, 0) : 0x7061636b6574;
    printf("    seed 0x%lx, %u frames\n", random_state, count);
    return count;
}

/* ---- frames ---- */

/* A valid packet, more or less ordinary. `s` is the connection it belongs to. */
static void choose(struct pkt_spec *p, const struct scene *s)
{
    static const char *const payloads[] = {GET_K, GET_K, GET_K, GET_K GET_K, SET_KV, ""};

    *p = s->in;
    if (!p->from_server)
        p->payload = payloads[random_below(LEN(payloads))];
    p->len = strlen(p->payload);
    if (!p->len)
        p->flags = PKT_ACK;
    if (random_below(4) == 0)
        p->seq += random_below(60) - 30;
    if (random_below(4) == 0)
        p->ack += random_below(30) - 15;
    if (random_below(4) == 0)
        p->opt = random_below(OPT_TOO_LONG + 1);
    if (random_below(4) == 0 && p->opt != OPT_MD5 && p->opt != OPT_AO) {
        p->nsack = 1 + random_below(p->ts || p->opt ? 1 : 4);
        p->sack_pad = random_below(4);
        for (uint32_t i = 0; i < p->nsack; i++) {
            p->sack[i][0] = s->in.ack + random_below(100) - 50;
            p->sack[i][1] = s->in.ack + random_below(100) - 50;
        }
    }
    if (random_below(8) == 0)
        p->ext = random_below(EXT_AUTH + 1);
    if (random_below(8) == 0)
        p->ip_options = random_below(4);
    if (random_below(8) == 0)
        p->sum = random_below(SUM_WRONG + 1);
    if (random_below(8) == 0)
        p->padding = random_below(20);
}

/* A few bytes changed, most of them in the headers; sometimes a piece cut off or added; sums repaired half the time. */
static void mutate(struct pkt *p)
{
    for (uint32_t n = random_below(4); n > 0; n--) {
        uint32_t at = random_below(random_below(4) ? (p->len < 90 ? p->len : 90) : p->len);

        p->data[at] = random_below(2) ? p->data[at] ^ 1u << random_below(8) : random_below(256);
    }
    if (random_below(16) == 0)
        p->len = 14 + random_below(p->len - 13);
    if (random_below(16) == 0)
        for (uint32_t n = random_below(40); n > 0; n--)
            p->data[p->len++] = random_below(256);
    if (random_below(2))
        pkt_fix_sums(p->data, p->len);
}

/* The kernel refuses to make an skb of some stumps. */
static bool run(struct fix *f, enum fix_hook hook, const struct pkt *in, struct fix_run *r)
{
    fix_run(f, hook, in, NULL, r);
    return r->verdict != FIX_UNKNOWN;
}

static void no_good(const char *what, const struct pkt *in, const struct fix_run *r)
{
    fprintf(stderr, "  verdict %d\n", r->verdict);
    pkt_same("packet in against out", in, &r->out);
    fail_msg("%s", what);
}

/* ---- no connection ---- */

static void test_unknown(void **state)
{
    struct fix *f = *state;

    for (unsigned i = rounds(); i > 0; i--) {
        struct variant v = {.hook = random_below(FIX_HOOKS), .v6 = random_below(2), .ts = random_below(2)};
        struct pkt_spec p;
        struct wc_conn conn;
        struct fix_run r;
        struct scene s;
        struct pkt in;

        scene_quiet(&s, &v);
        if (i % 1000 == 0) {
            s.unknown = 1;
            scene_install(f, &s, &conn);
        }
        choose(&p, &s);
        pkt_build(&in, &p);
        mutate(&in);
        if (run(f, v.hook, &in, &r) && (r.verdict != FIX_NEXT || !pkt_same("packet out", &in, &r.out)))
            no_good("a packet of no connection was touched", &in, &r);
    }
}

/* ---- a quiet connection ---- */

/* What must hold for an answer, from the list and not from the programs. */
static bool deserves_answer(const struct pkt *p, const struct scene *s, const struct wc_conn *conn)
{
    struct pkt_view v;

    return pkt_parse(p->data, p->len, &v) && !v.odd && v.ecn != 3 && v.plain && !v.reserved &&
           (v.flags & ~PKT_PSH) == PKT_ACK && !memcmp(&v.key, &conn->self, sizeof(v.key)) && v.seq == s->in.seq &&
           v.ack == s->in.ack && v.ts == s->in.ts && (!v.ts || (int32_t)(v.tsval - TSVAL) >= 0) &&
           v.window << s->tcp.cli_wscale >= REP && v.len == REQ && !strncasecmp((const char *)v.payload, GET_K, 13) &&
           !memcmp(v.payload + 13, GET_K + 13, REQ - 13) && (v.sum_ok || v.sum_bare);
}

/* A bare ACK that tells the stack nothing (rule I6). */
static bool is_idle(const struct pkt *p, const struct scene *s)
{
    struct pkt_view v;

    return pkt_parse(p->data, p->len, &v) && !v.odd && v.ecn != 3 && v.plain && !v.reserved && v.flags == PKT_ACK &&
           !v.len && v.seq == s->in.seq && v.ack == s->in.ack && v.window == s->tcp.fed_window;
}

static void judge(const struct scene *s, const struct wc_conn *conn, enum fix_hook hook, const struct pkt *in,
                  const struct fix_run *r)
{
    bool answer = deserves_answer(in, s, conn);
    struct pkt_view v;

    switch (r->verdict) {
    case FIX_SENT:
        if (!answer)
            no_good("answered what is not the GET", in, r);
        if (!pkt_parse(r->out.data, r->out.len, &v) || !(v.sum_ok || v.sum_bare) || v.len != REP ||
            memcmp(v.payload, REPLY_V, REP) != 0)
            no_good("a wrong answer", in, r);
        break;
    case FIX_DROPPED:
        if (hook != FIX_TC_IN || !is_idle(in, s))
            no_good("dropped", in, r);
        break;
    default:
        if (answer)
            no_good("not answered", in, r);
        if (!pkt_same("packet out", in, &r->out))
            no_good("changed though there is nothing to translate", in, r);
    }
}

static void test_quiet(void **state)
{
    struct fix *f = *state;
    unsigned sent = 0, dropped = 0;

    for (unsigned i = rounds(); i > 0; i--) {
        struct variant v = {
            .hook = random_below(2) ? FIX_XDP : FIX_TC_IN, .v6 = random_below(2), .ts = random_below(2)};
        struct pkt_spec p;
        struct wc_conn conn;
        struct fix_run r;
        struct scene s;
        struct pkt in;

        scene_quiet(&s, &v);
        s.tcp.x.din = s.tcp.x.dout = 0;
        s.in.seq = K_IN;
        s.in.ack = K_OUT;
        scene_install(f, &s, &conn);
        choose(&p, &s);
        pkt_build(&in, &p);
        mutate(&in);
        if (!run(f, v.hook, &in, &r))
            continue;
        judge(&s, &conn, v.hook, &in, &r);
        sent += r.verdict == FIX_SENT;
        dropped += r.verdict == FIX_DROPPED;
    }
    printf("    %u answered, %u dropped\n", sent, dropped);
    assert_true(sent > 0);
}

/* ---- a connection with deltas ---- */

/* Same but for the numbers, the checksum, and options that are not just a timestamp. */
static bool only_translated(const struct pkt *in, const struct pkt *out, const struct pkt_view *v)
{
    struct pkt masked = *out;
    uint32_t tcp = v->l4;

    if (in->len != out->len)
        return false;
    memcpy(masked.data + tcp + 4, in->data + tcp + 4, 8);
    memcpy(masked.data + tcp + 16, in->data + tcp + 16, 2);
    if (!v->plain)
        memcpy(masked.data + tcp + 20, in->data + tcp + 20, v->tcp_len - 20);
    return pkt_same("packet out", in, &masked);
}

static void test_translated(void **state)
{
    struct fix *f = *state;
    unsigned translated = 0;

    for (unsigned i = rounds(); i > 0; i--) {
        struct variant v = {
            .hook = random_below(2) ? FIX_TC_OUT : FIX_TC_IN, .v6 = random_below(2), .ts = random_below(2)};
        struct pkt_view before, after;
        struct pkt_spec p;
        struct wc_conn conn;
        struct fix_run r;
        struct scene s;
        struct pkt in;

        scene_quiet(&s, &v);
        s.ctl_flags = 0;
        scene_install(f, &s, &conn);
        choose(&p, &s);
        pkt_build(&in, &p);
        mutate(&in);
        if (!run(f, v.hook, &in, &r) || r.verdict != FIX_NEXT || !pkt_parse(in.data, in.len, &before) ||
            memcmp(in.data, r.out.data, in.len) == 0)
            continue;
        translated++;
        if (!only_translated(&in, &r.out, &before))
            no_good("more than the numbers changed", &in, &r);
        if (before.sum_ok && (!pkt_parse(r.out.data, r.out.len, &after) || !after.sum_ok))
            no_good("the checksum was right and is wrong", &in, &r);
    }
    printf("    %u translated\n", translated);
    assert_true(translated > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_translated),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
