/* GETs that are answered: every byte of the reply, for all lengths of key and value. */
#include <stdio.h>
#include <string.h>

#include "table.h"

static const struct row hits[] = {
    ROW("a GET of a hot key", 0, WHEN(), ANSWER, NO_COUNTER, THEN()),
    ROW("in small letters", 0, WHEN(TEXT("*2\r\n$3\r\nget\r\n$1\r\nk\r\n")), ANSWER, NO_COUNTER, THEN()),
    ROW("in mixed letters", 0, WHEN(TEXT("*2\r\n$3\r\ngEt\r\n$1\r\nk\r\n")), ANSWER, NO_COUNTER, THEN()),
    ROW("without PSH", 0, WHEN(SET(in.flags, PKT_ACK)), ANSWER, NO_COUNTER, THEN()),
    ROW("padded by Ethernet", 0, WHEN(SET(in.padding, 6)), ANSWER, NO_COUNTER, THEN()),
    ROW("padded by more than the reply", 0, WHEN(SET(in.padding, 300)), ANSWER, NO_COUNTER, THEN()),
    ROW("checksum left to hardware", 0, WHEN(SET(in.sum, SUM_BARE)), ANSWER, NO_COUNTER, THEN()),
    ROW("newer timestamp", ONLY_TS, WHEN(SET(in.tsval, TSVAL + 1)), ANSWER, NO_COUNTER, THEN()),
    ROW("timestamp across the wrap", ONLY_TS, WHEN(SET(in.tsval, 3), SET(tcp.ts_recent, 0xfffffff0)), ANSWER,
        NO_COUNTER, THEN()),
    ROW("microsecond clock", ONLY_TS, WHEN(SET(tcp.ts_usec, 1)), ANSWER, NO_COUNTER, THEN()),
    ROW("the clock's offset wraps", ONLY_TS, WHEN(SET(tcp.ts_offset, 0xfffff000)), ANSWER, NO_COUNTER, THEN()),
    ROW("a null for RESP2", 0, WHEN(SET(slot_null, 1), SET(reply, (uintptr_t) "$-1\r\n"), SET(reply_len, 5)), ANSWER,
        NO_COUNTER, THEN()),
    ROW("a value for RESP3", 0, WHEN(SET(ctl_flags, WC_CONN_ELIGIBLE | WC_CONN_RESP3)), ANSWER, NO_COUNTER, THEN()),
    ROW("expires later", 0, WHEN(SET(slot_expires, 2)), ANSWER, NO_COUNTER, THEN()),
    ROW("the window just fits", 0, WHEN(SET(in.window, REP), SET(tcp.cli_wscale, 0)), ANSWER, NO_COUNTER, THEN()),
    ROW("the window fits when scaled", 0, WHEN(SET(in.window, 1), SET(tcp.cli_wscale, 3)), ANSWER, NO_COUNTER, THEN()),
    ROW("one segment just fits", 0, WHEN(SET(tcp.mss, REP)), ANSWER, NO_COUNTER, THEN()),
    ROW("ECT(0)", 0, WHEN(SET(in.tos, 2)), ANSWER, NO_COUNTER, THEN()),
    ROW("ECT(1)", 0, WHEN(SET(in.tos, 1)), ANSWER, NO_COUNTER, THEN()),
    ROW("another traffic class, flow label and TTL", 0,
        WHEN(SET(in.tos, 0xb8), SET(in.flow_label, 0xfffff), SET(in.ttl, 1)), ANSWER, NO_COUNTER, THEN()),
    ROW("the stack's window is zero", 0, WHEN(SET(tcp.srv_window, 0)), ANSWER, NO_COUNTER, THEN()),
    ROW("IPv4 without DF", ONLY_V4, WHEN(SET(in.ip_frag, 0)), ANSWER, NO_COUNTER, THEN()),
    ROW("the urgent pointer without URG means nothing", 0, WHEN(SET(in.urgent, 9)), ANSWER, NO_COUNTER, THEN()),
    ROW("the first exchange of a connection", 0,
        WHEN(SET(tcp.x.din, 0), SET(tcp.x.dout, 0), SET(in.seq, K_IN), SET(in.ack, K_OUT)), ANSWER, NO_COUNTER, THEN()),
    ROW("acknowledges the previous reply", 0, WHEN(OPEN, SET(in.seq, C_IN + REQ), SET(in.ack, C_OUT + REP)), ANSWER,
        NO_COUNTER, THEN()),
};

static void test_hits_tc(void **state)
{
    table_run(*state, hits, LEN(hits), FIX_TC_IN);
}

static void test_hits_xdp(void **state)
{
    table_run(*state, hits, LEN(hits), FIX_XDP);
}

/* As long as the request: the only reply that leaves an skb with a sum of the hardware's. */
static void test_checksum_complete(void **state)
{
    static const struct row same_length = {"a reply as long as the request",
                                           0,
                                           {SET(value, (uintptr_t) "thirteen byte"), SET(value_len, 13),
                                            SET(reply, (uintptr_t) "$13\r\nthirteen byte\r\n"), SET(reply_len, REQ)},
                                           ANSWER,
                                           NO_COUNTER,
                                           {{0}}};

    table_run_how(*state, &same_length, 1, FIX_TC_IN, &(struct fix_how){.complete = 1});
}

static void test_hits_wrapped(void **state)
{
    table_run_wrapped(*state, hits, LEN(hits), FIX_TC_IN);
    table_run_wrapped(*state, hits, LEN(hits), FIX_XDP);
}

/* XDP and TC, IPv4 and IPv6, timestamps or not. */
static bool all_variants(struct fix *f, const struct row *row)
{
    bool ok = true;

    for (int bits = 0; bits < 8; bits++) {
        struct variant v = {.hook = bits & 1 ? FIX_XDP : FIX_TC_IN, .v6 = bits & 2, .ts = bits & 4};

        ok = scene_run(f, row, &v) && ok;
    }
    return ok;
}

static void test_value_sizes(void **state)
{
    char value[WC_VALUE_MAX], reply[WC_REPLY_MAX], what[64];

    for (uint32_t i = 0; i < sizeof(value); i++)
        value[i] = i * 37 + i / 256; /* all bytes, CR and LF among them */
    for (uint32_t n = 0; n <= sizeof(value); n++) {
        uint32_t head = sprintf(reply, "$%u\r\n", n);
        struct row row = {what,
                          0,
                          {SET(value, (uintptr_t)value), SET(value_len, n), SET(reply, (uintptr_t)reply),
                           SET(reply_len, head + n + 2)},
                          ANSWER,
                          NO_COUNTER,
                          {{0}}};

        memcpy(reply + head, value, n);
        memcpy(reply + head + n, "\r\n", 2);
        sprintf(what, "a value of %u bytes", n);
        assert_true(all_variants(*state, &row));
    }
}

/* Also with the first and last byte of each key changed: then the key is not hot. */
static void test_key_sizes(void **state)
{
    struct fix *f = *state;
    char key[WC_KEY_MAX], get[WC_REQUEST_MAX + 1], what[64];

    for (uint32_t i = 0; i < sizeof(key); i++)
        key[i] = 255 - i * 2; /* not NUL, but CR and LF */
    for (uint32_t n = 1; n <= sizeof(key); n++) {
        uint32_t head = sprintf(get, "*2\r\n$3\r\nGET\r\n$%u\r\n", n);
        struct row row = {what,   0,          {SET(in.payload, (uintptr_t)get), SET(in.len, head + n + 2)},
                          ANSWER, NO_COUNTER, {{0}}};
        struct row miss = {what, 0, {row.given[0], row.given[1]}, PASS, WC_CTR_PASS_NOT_HOT, {UP_N(head + n + 2)}};

        fix_cool(f, f->slot_k);
        f->slot_k = fix_hot(f, key, n, "v", 1);
        memcpy(get + head, key, n);
        memcpy(get + head + n, "\r\n", 2);
        sprintf(what, "a key of %u bytes", n);
        assert_true(all_variants(f, &row));
        sprintf(what, "another key of %u bytes", n);
        get[head] ^= 1;
        assert_true(all_variants(f, &miss));
        get[head] ^= 1;
        get[head + n - 1] ^= 0x80;
        assert_true(all_variants(f, &miss));
    }
    fix_cool(f, f->slot_k);
    f->slot_k = fix_hot(f, "k", 1, "v", 1);
}

/* The element of hot_keys leads to a slot whose key begins or ends like the one asked for. */
static void test_slot_of_another_key(void **state)
{
    struct fix *f = *state;
    static const char *const asked[] = {"k1234567", "k123456", "k12345678", "k123456x", "k\0\0\0\0\0\0\0"};
    static const uint32_t lens[] = {8, 7, 9, 8, 8};
    char get[64];

    fix_cool(f, f->slot_k);
    f->slot_k = fix_hot(f, "k1234567", 8, "v", 1);
    for (size_t i = 0; i < LEN(asked); i++) {
        uint32_t head = sprintf(get, "*2\r\n$3\r\nGET\r\n$%u\r\n", lens[i]), len = head + lens[i] + 2;
        struct row row = {"a slot of another key",
                          0,
                          {SET(in.payload, (uintptr_t)get), SET(in.len, len)},
                          i ? PASS : ANSWER,
                          i ? WC_CTR_PASS_EMPTY : NO_COUNTER,
                          {{0}}};
        struct poke up[] = {UP_N(len)};

        if (i)
            memcpy(row.then, up, sizeof(up));
        memcpy(get + head, asked[i], lens[i]);
        memcpy(get + head + lens[i], "\r\n", 2);
        fix_point(f, asked[i], lens[i], f->slot_k);
        assert_true(all_variants(f, &row));
        if (i)
            fix_point(f, asked[i], lens[i], WC_NO_SLOT);
    }
    fix_cool(f, f->slot_k);
    f->slot_k = fix_hot(f, "k", 1, "v", 1);
}

/* With the headers alone in linear memory, and with less than the headers. */
static void test_not_linear(void **state)
{
    struct fix *f = *state;

    if (!f->can_linear) {
        print_message("    this kernel makes linear skbs only: not tried\n");
        return;
    }
    for (uint32_t linear = 14; linear < 90; linear += 7)
        table_run_how(f, hits, LEN(hits), FIX_TC_IN, &(struct fix_how){.linear = linear});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_tc),      cmocka_unit_test(test_hits_xdp),
        cmocka_unit_test(test_hits_wrapped), cmocka_unit_test(test_value_sizes),
        cmocka_unit_test(test_key_sizes),    cmocka_unit_test(test_slot_of_another_key),
        cmocka_unit_test(test_not_linear),   cmocka_unit_test(test_checksum_complete),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
