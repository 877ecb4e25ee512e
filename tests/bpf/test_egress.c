/* From the stack: the rules O1 to O5 of include/wc_tcp.h. */
#include <stdio.h>

#include "table.h"

#define OK_LEN   5 /* "+OK\r\n" */
#define BARE_ACK SET(in.len, 0), SET(in.flags, PKT_ACK)
#define TO(s, a) SET(out.seq, s), SET(out.ack, a)
#define CLOSING  SET(after.state, WC_TCP_CLOSING)
#define SENT     SET(after.snd_nxt, K_OUT + OK_LEN)

static const struct row segments[] = {
    ROW("O1 SYN and ACK: the entry is void", 0, WHEN(SET(in.len, 0), SET(in.flags, PKT_SYN | PKT_ACK)), RAW, NO_COUNTER,
        THEN(SET(after.state, WC_TCP_NEW))),
    ROW("a SYN from the stack is not ours", 0, WHEN(SET(in.len, 0), SET(in.flags, PKT_SYN)), RAW, NO_COUNTER, THEN()),
    ROW("the entry is being set up", 0, WHEN(SET(tcp.state, WC_TCP_NEW)), RAW, NO_COUNTER, THEN()),
    ROW("unknown connection", 0, WHEN(SET(unknown, 1)), RAW, NO_COUNTER, THEN()),
    ROW("the entry belongs to another connection by now", 0, WHEN(SET(recycled, 1)), RAW, NO_COUNTER, THEN()),
    ROW("one of our own replies, redirected", 0, WHEN(SET(how.redirected, 1)), RAW, NO_COUNTER, THEN()),
    ROW("from another port", 0, WHEN(SET(in.server_port, PKT_PORT + 1)), RAW, NO_COUNTER, THEN()),
    ROW("to another client", 0, WHEN(SET(in.client_port, PKT_CLIENT_PORT + 1)), RAW, NO_COUNTER, THEN()),
    ROW("a VLAN tag in the frame", 0, WHEN(SET(in.vlan, 7)), RAW, NO_COUNTER, THEN()),

    ROW("O4 data", 0, WHEN(), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 data behind the open reply", 0, WHEN(OPEN), PASS, NO_COUNTER, THEN(TO(C_OUT + REP, C_IN + REQ), SENT)),
    ROW("O4 data that acknowledges a SET behind it", 0, WHEN(OPEN, SET(tcp.fwd_nxt, K_IN + 27), SET(in.ack, K_IN + 27)),
        PASS, NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN + REQ + 27), SENT, SET(after.srv_ack, K_IN + 27), SET(after.rcv_edge, EDGE + 27))),
    ROW("O4 the first data of a connection", ONLY_NO_TS,
        WHEN(SET(tcp.spoken, 0), SET(tcp.srv_window, 0), SET(tcp.hop_limit, 0)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT, SET(after.spoken, 1), SET(after.srv_window, 502), SET(after.hop_limit, 63))),
    ROW("O4 bare ACK", 0, WHEN(BARE_ACK), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN))),
    ROW("O4 bare ACK of a SET", 0, WHEN(BARE_ACK, SET(in.ack, K_IN + 27)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN + 27), SET(after.srv_ack, K_IN + 27), SET(after.fwd_nxt, K_IN + 27),
             SET(after.rcv_edge, EDGE + 27))),
    ROW("O4 an old ACK", 0, WHEN(BARE_ACK, SET(in.ack, K_IN - 3)), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN - 3))),
    ROW("O4 an old ACK while an exchange is open", 0, WHEN(OPEN, BARE_ACK, SET(in.ack, K_IN - 3)), PASS, NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN - 3))),
    ROW("O4 another window", 0, WHEN(BARE_ACK, SET(in.window, 100)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.srv_window, 100))),
    ROW("O4 a wider window", 0, WHEN(BARE_ACK, SET(in.window, 600)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.srv_window, 600), SET(after.rcv_edge, K_IN + (600 << 7)))),
    ROW("O4 another TTL", 0, WHEN(BARE_ACK, SET(in.ttl, 200)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.hop_limit, 200))),
    ROW("O4 another TOS", ONLY_V4, WHEN(BARE_ACK, SET(in.tos, 0xb8)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.flow, 0xb8))),
    ROW("O4 another flow label", ONLY_V6, WHEN(BARE_ACK, SET(in.flow_label, 0xabcde)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.flow, 0xdebc8a02))),
    ROW("O4 timestamps cease", ONLY_TS, WHEN(SET(in.ts, 0)), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 keepalive probe", 0, WHEN(BARE_ACK, SET(in.seq, K_OUT - 1)), PASS, NO_COUNTER,
        THEN(TO(C_OUT - 1, C_IN), SET(after.probed, 1))),
    ROW("O4 keepalive probe after a reply of the kernel's", 0, WHEN(BARE_ACK, OPEN, SET(in.seq, K_OUT - 1)), PASS,
        NO_COUNTER, THEN(TO(C_OUT - 1, C_IN), SET(after.probed, 1))),
    ROW("O4 while closing", 0, WHEN(OPEN, SET(tcp.state, WC_TCP_CLOSING)), PASS, NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN + REQ), SENT)),
    ROW("O4 IP options", ONLY_V4, WHEN(SET(in.ip_options, 3)), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 extension headers", ONLY_V6, WHEN(SET(in.ext, EXT_HOP_AND_DST)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 MD5", 0, WHEN(SET(in.opt, OPT_MD5)), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 congestion: ECE, CWR, CE", ONLY_V4, WHEN(SET(in.flags, 0xd0), SET(in.tos, 0x2b)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT, SET(after.flow, 0x2b))),
    ROW("O4 URG", 0, WHEN(SET(in.flags, PKT_ACK | PKT_URG), SET(in.urgent, 2)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 a wrong checksum stays as wrong as it was", 0, WHEN(SET(in.sum, SUM_WRONG)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 several segments in one packet (GSO)", 0, WHEN(SET(how.gso, 2)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 more than 64 KiB in one packet (BIG TCP): IP does not say how long", 0,
        WHEN(SET(in.ip_no_total, 1), SET(how.gso, 2)), PASS, NO_COUNTER, THEN(TO(C_OUT, C_IN), SENT)),
    ROW("O4 the same with a hop-by-hop header", ONLY_V6,
        WHEN(SET(in.ip_no_total, 1), SET(how.gso, 2), SET(in.ext, EXT_HOPOPTS)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT)),

    ROW("O2 a retransmission", 0, WHEN(SET(in.seq, K_OUT - OK_LEN)), PASS, NO_COUNTER,
        THEN(TO(C_OUT - OK_LEN, C_IN), SET(after.probed, 1), SET(after.fed_ack, K_OUT - OK_LEN))),
    ROW("O2 O3 a retransmission from before the open reply", 0, WHEN(OPEN, SET(in.seq, K_OUT - OK_LEN)), PASS,
        NO_COUNTER, THEN(TO(C_OUT - OK_LEN, C_IN), SET(after.probed, 1), SET(after.fed_ack, K_OUT - OK_LEN))),
    ROW("O2 a retransmission with new data", 0, WHEN(SET(in.seq, K_OUT - 2)), PASS, NO_COUNTER,
        THEN(TO(C_OUT - 2, C_IN), SET(after.probed, 1), SET(after.fed_ack, K_OUT - 2), SET(after.snd_nxt, K_OUT + 3))),
    ROW("O2 the same across the open reply", 0, WHEN(OPEN, SET(in.seq, K_OUT - 2)), DROP, WC_CTR_DROPPED_SPANNING,
        THEN(SET(after.probed, 1), SET(after.fed_ack, K_OUT - 2), SET(after.snd_nxt, K_OUT + 3))),
    ROW("O3 bare ACK while an exchange is open", 0, WHEN(OPEN, BARE_ACK), PASS, NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN))),
    ROW("O3 bare ACK of a SET behind it", 0, WHEN(OPEN, BARE_ACK, SET(in.ack, K_IN + 27), SET(tcp.fwd_nxt, K_IN + 27)),
        PASS, NO_COUNTER, THEN(TO(C_OUT + REP, C_IN), SET(after.srv_ack, K_IN + 27), SET(after.rcv_edge, EDGE + 27))),

    ROW("O5 FIN", 0, WHEN(BARE_ACK, SET(in.flags, PKT_FIN | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.snd_nxt, K_OUT + 1), CLOSING)),
    ROW("O5 FIN with data", 0, WHEN(SET(in.flags, PKT_FIN | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SET(after.snd_nxt, K_OUT + OK_LEN + 1), CLOSING)),
    ROW("O5 FIN while an exchange is open", 0, WHEN(OPEN, BARE_ACK, SET(in.flags, PKT_FIN | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN + REQ), SET(after.snd_nxt, K_OUT + 1), CLOSING)),
    ROW("O5 RST and ACK", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), CLOSING)),
    ROW("O5 RST and ACK while an exchange is open", 0, WHEN(OPEN, BARE_ACK, SET(in.flags, PKT_RST | PKT_ACK)), PASS,
        NO_COUNTER, THEN(TO(C_OUT + REP, C_IN + REQ), CLOSING)),
    ROW("O5 RST without ACK: the field is left alone", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST), SET(in.ack, 0)), PASS,
        NO_COUNTER, THEN(SET(out.seq, C_OUT), CLOSING)),
};

static const struct row sacks[] = {
    ROW("SACK, one block", 0, WHEN(BARE_ACK, SET(in.nsack, 1), SACK(0, K_IN + 10, K_IN + 20)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), OUT_SACK(0, C_IN + 10, C_IN + 20))),
    ROW("SACK, two blocks", 0,
        WHEN(BARE_ACK, SET(in.nsack, 2), SACK(0, K_IN + 10, K_IN + 20), SACK(1, K_IN + 30, K_IN + 41)), PASS,
        NO_COUNTER, THEN(TO(C_OUT, C_IN), OUT_SACK(0, C_IN + 10, C_IN + 20), OUT_SACK(1, C_IN + 30, C_IN + 41))),
    ROW("SACK, three blocks", 0,
        WHEN(BARE_ACK, SET(in.nsack, 3), SACK(0, K_IN + 10, K_IN + 20), SACK(1, K_IN + 30, K_IN + 41),
             SACK(2, K_IN + 42, K_IN + 44)),
        PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), OUT_SACK(0, C_IN + 10, C_IN + 20), OUT_SACK(1, C_IN + 30, C_IN + 41),
             OUT_SACK(2, C_IN + 42, C_IN + 44))),
    ROW("SACK, four blocks", ONLY_NO_TS,
        WHEN(BARE_ACK, SET(in.nsack, 4), SACK(0, K_IN + 10, K_IN + 20), SACK(1, K_IN + 30, K_IN + 41),
             SACK(2, K_IN + 42, K_IN + 44), SACK(3, K_IN + 46, K_IN + 50)),
        PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), OUT_SACK(0, C_IN + 10, C_IN + 20), OUT_SACK(1, C_IN + 30, C_IN + 41),
             OUT_SACK(2, C_IN + 42, C_IN + 44), OUT_SACK(3, C_IN + 46, C_IN + 50))),
    ROW("SACK at an odd offset", 0,
        WHEN(BARE_ACK, SET(in.sack_pad, 1), SET(in.nsack, 1), SACK(0, K_IN + 10, K_IN + 20)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), OUT_SACK(0, C_IN + 10, C_IN + 20))),
    ROW("SACK behind an open exchange", 0, WHEN(OPEN, BARE_ACK, SET(in.nsack, 1), SACK(0, K_IN + 10, K_IN + 20)), PASS,
        NO_COUNTER, THEN(TO(C_OUT + REP, C_IN), OUT_SACK(0, C_IN + REQ + 10, C_IN + REQ + 20))),
    ROW("D-SACK from before an open exchange, and behind it", 0,
        WHEN(OPEN, BARE_ACK, SET(in.nsack, 2), SACK(0, K_IN - 20, K_IN - 10), SACK(1, K_IN, K_IN + 9)), PASS,
        NO_COUNTER,
        THEN(TO(C_OUT + REP, C_IN), OUT_SACK(0, C_IN - 20, C_IN - 10), OUT_SACK(1, C_IN + REQ, C_IN + REQ + 9))),
    ROW("SACK with data", 0, WHEN(SET(in.nsack, 1), SACK(0, K_IN + 10, K_IN + 20)), PASS, NO_COUNTER,
        THEN(TO(C_OUT, C_IN), SENT, OUT_SACK(0, C_IN + 10, C_IN + 20))),
    ROW("no translation yet: untouched", 0,
        WHEN(BARE_ACK, SET(tcp.x.din, 0), SET(tcp.x.dout, 0), SET(in.nsack, 1), SACK(0, K_IN + 10, K_IN + 20)), PASS,
        NO_COUNTER, THEN()),
};

static void run(struct fix *f, const struct row *rows, size_t n)
{
    table_run(f, rows, n, FIX_TC_OUT);
    table_run_how(f, rows, n, FIX_TC_OUT, &(struct fix_how){.complete = 1});
    table_run_wrapped(f, rows, n, FIX_TC_OUT);
}

static void test_segments(void **state)
{
    run(*state, segments, LEN(segments));
}

static void test_sacks(void **state)
{
    run(*state, sacks, LEN(sacks));
}

/* The offset of the stack's timestamps from the clock: only a larger one replaces it, the first is taken as it is. */
static void test_timestamp_offset(void **state)
{
    static const struct {
        uint32_t ts_on, usec;
        int32_t ahead; /* of TS_OFFSET */
        bool taken;
    } rows[] = {{1, 0, 5000, true},    {1, 0, -5000, false},    {0, 0, 5000, true},    {0, 0, -5000, true},
                {1, 1, 5000000, true}, {1, 1, -5000000, false}, {0, 1, -5000000, true}};
    struct fix *f = *state;

    for (size_t i = 0; i < LEN(rows); i++) {
        struct variant v = {.hook = FIX_TC_OUT, .ts = true};
        uint32_t unit = rows[i].usec ? 1000 : 1000000, offset, taken;
        struct wc_conn conn;
        struct fix_run r;
        struct scene s;
        struct pkt in;

        scene_quiet(&s, &v);
        s.tcp.ts_on = rows[i].ts_on;
        s.tcp.ts_usec = rows[i].usec;
        s.in.tsval = fix_now() / unit + TS_OFFSET + rows[i].ahead;
        scene_install(f, &s, &conn);
        pkt_build(&in, &s.in);
        fix_run(f, FIX_TC_OUT, &in, NULL, &r);
        assert_true(fix_conn_get(f, &conn.self, &conn));
        offset = conn.tcp.ts_offset;
        taken = s.in.tsval - offset;
        if (rows[i].taken)
            assert_true(taken >= (uint32_t)(r.began_ns / unit) && taken <= (uint32_t)(r.ended_ns / unit));
        else
            assert_int_equal(offset, TS_OFFSET);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_sacks),
        cmocka_unit_test(test_timestamp_offset),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
