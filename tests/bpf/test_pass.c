/* Packets that are not answered: each reason, its counter, and that the packet goes on right. */
#include "table.h"

/* What the connection, the server or the key do not allow. */
static const struct row refusals[] = {
    ROW("unknown connection", 0, WHEN(SET(unknown, 1)), RAW, NO_COUNTER, THEN()),
    ROW("the entry belongs to another connection by now", 0, WHEN(SET(recycled, 1)), RAW, NO_COUNTER, THEN()),
    ROW("the same, seen only when the packet has grown for the reply: it shrinks again", 0,
        WHEN(SET(recycled, 1), SET(value, (uintptr_t) "a value longer than the request"), SET(value_len, 31)), RAW,
        NO_COUNTER, THEN()),
    ROW("the entry is being set up", 0, WHEN(SET(tcp.state, WC_TCP_NEW)), RAW, WC_CTR_PASS_CLOSING, THEN()),
    ROW("conn_ctl speaks of another connection", 0, WHEN(SET(stale, 1)), PASS, WC_CTR_PASS_NOT_ELIGIBLE, THEN(UP)),
    ROW("not eligible", 0, WHEN(SET(ctl_flags, 0)), PASS, WC_CTR_PASS_NOT_ELIGIBLE, THEN(UP)),
    ROW("not eligible, RESP3", 0, WHEN(SET(ctl_flags, WC_CONN_RESP3)), PASS, WC_CTR_PASS_NOT_ELIGIBLE, THEN(UP)),
    ROW("answering is switched off", 0, WHEN(SET(off, 1)), PASS, WC_CTR_PASS_NOT_ELIGIBLE, THEN(UP)),
    ROW("the key is not hot", 0, WHEN(SET(not_hot, 1)), PASS, WC_CTR_PASS_NOT_HOT, THEN(UP)),
    ROW("the slot is empty", 0, WHEN(SET(slot_empty, 1)), PASS, WC_CTR_PASS_EMPTY, THEN(UP)),
    ROW("the slot holds another key", 0, WHEN(SET(slot_other_key, 1)), PASS, WC_CTR_PASS_EMPTY, THEN(UP)),
    ROW("a null for RESP3", 0, WHEN(SET(slot_null, 1), SET(ctl_flags, WC_CONN_ELIGIBLE | WC_CONN_RESP3)), PASS,
        WC_CTR_PASS_EMPTY, THEN(UP)),
    ROW("the value has expired", 0, WHEN(SET(slot_expires, 1)), PASS, WC_CTR_PASS_EXPIRED, THEN(UP)),
    ROW("the slot is being written", 0, WHEN(SET(slot_odd, 1)), PASS, WC_CTR_PASS_BUSY, THEN(UP)),
    ROW("the checksum is wrong", 0, WHEN(SET(in.sum, SUM_WRONG)), PASS, WC_CTR_PASS_CHECKSUM, THEN(UP)),
    ROW("the connection is closing", 0, WHEN(SET(tcp.state, WC_TCP_CLOSING)), PASS, WC_CTR_PASS_CLOSING, THEN(UP)),
    ROW("the stack has not said anything yet", 0, WHEN(SET(tcp.spoken, 0)), PASS, WC_CTR_PASS_SILENT, THEN(UP)),
    ROW("bytes before it are not executed", 0, WHEN(SET(consumed, K_IN - BASE_IN - 1)), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(UP)),
    ROW("a hole before it", 0, WHEN(SET(in.seq, C_IN + 10)), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(SET(out.seq, K_IN + 10), SET(out.ack, K_OUT), SET(after.fwd_nxt, K_IN + 10 + REQ))),
    ROW("it has been passed up already", 0, WHEN(SET(tcp.fwd_nxt, K_IN + REQ)), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(UP)),
    ROW("a reply is still to be acknowledged", 0, WHEN(SET(in.ack, C_OUT - 10)), PASS, WC_CTR_PASS_UNACKED,
        THEN(UP, SET(out.ack, K_OUT - 10))),
    ROW("a reply is still to be sent", 0, WHEN(SET(produced, K_OUT - BASE_OUT + 5)), PASS, WC_CTR_PASS_UNACKED,
        THEN(UP)),
    ROW("the stack has sent more than the worker produced", 0,
        WHEN(SET(tcp.snd_nxt, K_OUT + 1), SET(in.ack, C_OUT + 1), SET(tcp.fed_ack, K_OUT + 1)), PASS,
        WC_CTR_PASS_UNACKED, THEN(UP, SET(out.ack, K_OUT + 1))),
    ROW("acknowledges what was never sent", 0, WHEN(SET(in.ack, C_OUT + 1)), PASS, WC_CTR_PASS_UNACKED,
        THEN(SET(out.seq, K_IN), SET(out.ack, K_OUT + 1))),
    ROW("the timestamp is missing", ONLY_TS, WHEN(SET(in.ts, 0)), PASS, WC_CTR_PASS_TIMESTAMP, THEN(UP)),
    ROW("a timestamp that was not agreed", ONLY_NO_TS, WHEN(SET(in.ts, 1)), PASS, WC_CTR_PASS_TIMESTAMP,
        THEN(UP, SET(after.ts_recent, TSVAL))),
    ROW("the timestamp is old", ONLY_TS, WHEN(SET(in.tsval, TSVAL - 1)), PASS, WC_CTR_PASS_TIMESTAMP,
        THEN(UP, SET(after.ts_recent, TSVAL - 1))),
    ROW("the window is one byte too small", 0, WHEN(SET(in.window, REP - 1), SET(tcp.cli_wscale, 0)), PASS,
        WC_CTR_PASS_WINDOW, THEN(UP, SET(after.fed_window, REP - 1))),
    ROW("the window is zero", 0, WHEN(SET(in.window, 0)), PASS, WC_CTR_PASS_WINDOW, THEN(UP, SET(after.fed_window, 0))),
    ROW("one segment is one byte too small", 0, WHEN(SET(tcp.mss, REP - 1)), PASS, WC_CTR_PASS_SEGMENT, THEN(UP)),
};

#define NOT_GET(text)                                                                                                  \
    ROW("not the GET: " #text, 0, WHEN(TEXT(text)), PASS, WC_CTR_PASS_NOT_GET, THEN(UP_N(sizeof(text) - 1)))

#define K124                                                                                                           \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                 \
    "0123456789abcdef0123456789ab"

static const struct row requests[] = {
    NOT_GET(GET_K GET_K),
    NOT_GET(GET_K "*"),
    NOT_GET(GET_K "\r\n"),
    NOT_GET("\r\n" GET_K),
    NOT_GET("*"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nk"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nk\r"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nk\n\r"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nk  "),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nkk"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\r\nkk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$2\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$2\r\nk\r\n*"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$01\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$ 1\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$+1\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1 \r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1\n\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$0\r\n\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$-1\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$999\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$1000000001\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$124\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$125\r\n" K124 "c\r\n"),
    NOT_GET("*2\r\n$3\r\nGET\r\n$124\r\n" K124 "c\r\n"),
    NOT_GET("*2\r\n$3\r\nSET\r\n$1\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\nGE\x14\r\n$1\r\nk\r\n"),
    NOT_GET("*2\r\n$3\r\n\x07\x05T\r\n$1\r\nk\r\n"),
    NOT_GET("*2\r\n$4\r\nMGET\r\n$1\r\nk\r\n"),
    NOT_GET("*3\r\n$4\r\nMGET\r\n$1\r\nk\r\n$1\r\nk\r\n"),
    NOT_GET("*2\r\n$03\r\nGET\r\n$1\r\nk\r\n"),
    NOT_GET("*02\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    NOT_GET("*1\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    NOT_GET("*3\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    NOT_GET("$2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    NOT_GET(SET_KV),
    NOT_GET("GET k\r\n"),
    NOT_GET("GET kkkkkkkkkkkkkk\r\n"),
    NOT_GET("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ROW("a GET of a cold key of the greatest length", 0, WHEN(TEXT("*2\r\n$3\r\nGET\r\n$124\r\n" K124 "\r\n")), PASS,
        WC_CTR_PASS_NOT_HOT, THEN(UP_N(14 + 5 + 124 + 2))),
};

/* Flags, IP headers, TCP options. */
static const struct row headers[] = {
    ROW("URG", 0, WHEN(SET(in.flags, PKT_ACK | PKT_URG)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("ECE", 0, WHEN(SET(in.flags, PKT_PSH | PKT_ACK | PKT_ECE)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("CWR", 0, WHEN(SET(in.flags, PKT_PSH | PKT_ACK | PKT_CWR)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("FIN with it", 0, WHEN(SET(in.flags, PKT_PSH | PKT_ACK | PKT_FIN)), PASS, WC_CTR_PASS_FLAGS,
        THEN(UP_N(REQ + 1), SET(after.state, WC_TCP_CLOSING))),
    ROW("RST with it", 0, WHEN(SET(in.flags, PKT_ACK | PKT_RST)), PASS, WC_CTR_PASS_FLAGS,
        THEN(SET(out.seq, K_IN), SET(out.ack, K_OUT), SET(after.state, WC_TCP_CLOSING))),
    ROW("SYN with it", 0, WHEN(SET(in.flags, PKT_ACK | PKT_SYN)), RAW, WC_CTR_PASS_FLAGS, THEN()),
    ROW("no ACK", 0, WHEN(SET(in.flags, PKT_PSH)), PASS, WC_CTR_PASS_FLAGS,
        THEN(SET(out.seq, K_IN), SET(after.fwd_nxt, K_IN + REQ))),
    ROW("reserved bit 1 (AccECN)", 0, WHEN(SET(in.reserved, 1)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("reserved bit 2", 0, WHEN(SET(in.reserved, 2)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("reserved bit 4", 0, WHEN(SET(in.reserved, 4)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("reserved bit 8", 0, WHEN(SET(in.reserved, 8)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("congestion experienced", 0, WHEN(SET(in.tos, 3)), PASS, WC_CTR_PASS_FLAGS, THEN(UP)),
    ROW("padding that completes the GET", 0, WHEN(SET(in.len, REQ - 2), SET(in.padding, 2)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(UP_N(REQ - 2))),
    ROW("the frame is shorter than the datagram", 0, WHEN(SET(in.cut, 1)), PASS, WC_CTR_PASS_NOT_GET, THEN(UP)),

    ROW("one word of IP options", ONLY_V4, WHEN(SET(in.ip_options, 1)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("ten words of IP options", ONLY_V4, WHEN(SET(in.ip_options, 10)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("first fragment", ONLY_V4, WHEN(SET(in.ip_frag, 0x2000)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, SET(after.state, WC_TCP_CLOSING))),
    ROW("later fragment", ONLY_V4, WHEN(SET(in.ip_frag, 0x2001)), RAW, NO_COUNTER, THEN()),
    ROW("last fragment", ONLY_V4, WHEN(SET(in.ip_frag, 0x1fff)), RAW, NO_COUNTER, THEN()),
    ROW("hop-by-hop options", ONLY_V6, WHEN(SET(in.ext, EXT_HOPOPTS)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("routing header", ONLY_V6, WHEN(SET(in.ext, EXT_ROUTING)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("destination options of 16 bytes", ONLY_V6, WHEN(SET(in.ext, EXT_DSTOPTS)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP)),
    ROW("two extension headers", ONLY_V6, WHEN(SET(in.ext, EXT_HOP_AND_DST)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("first fragment", ONLY_V6, WHEN(SET(in.ext, EXT_FRAG_FIRST)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, SET(after.state, WC_TCP_CLOSING))),
    ROW("atomic fragment", ONLY_V6, WHEN(SET(in.ext, EXT_FRAG_ATOMIC)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, SET(after.state, WC_TCP_CLOSING))),
    ROW("later fragment", ONLY_V6, WHEN(SET(in.ext, EXT_FRAG_LATER)), RAW, NO_COUNTER, THEN()),
    ROW("five extension headers", ONLY_V6, WHEN(SET(in.ext, EXT_FIVE)), RAW, NO_COUNTER, THEN()),
    ROW("authentication header", ONLY_V6, WHEN(SET(in.ext, EXT_AUTH)), RAW, NO_COUNTER, THEN()),
    ROW("a VLAN tag in the frame", 0, WHEN(SET(in.vlan, 7)), RAW, NO_COUNTER, THEN()),
    ROW("another port", 0, WHEN(SET(in.server_port, PKT_PORT + 1)), RAW, NO_COUNTER, THEN()),
    ROW("another client", 0, WHEN(SET(in.client_port, PKT_CLIENT_PORT + 1)), RAW, NO_COUNTER, THEN()),
    ROW("from our port to the client's, which is ours too", 0, WHEN(SET(in.from_server, 1)), RAW, NO_COUNTER, THEN()),

    ROW("MSS", 0, WHEN(SET(in.opt, OPT_MSS)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("SACK permitted", 0, WHEN(SET(in.opt, OPT_SACK_PERMITTED)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("MD5", 0, WHEN(SET(in.opt, OPT_MD5)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("TCP-AO", 0, WHEN(SET(in.opt, OPT_AO)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("Fast Open", 0, WHEN(SET(in.opt, OPT_FASTOPEN)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("Multipath TCP", 0, WHEN(SET(in.opt, OPT_MPTCP)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("an unknown option", 0, WHEN(SET(in.opt, OPT_UNKNOWN)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("NOPs alone", 0, WHEN(SET(in.opt, OPT_NOPS)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("end of list, then rubbish", 0, WHEN(SET(in.opt, OPT_EOL)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("timestamp in another form", 0, WHEN(SET(in.opt, OPT_TS_AT_END)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, SET(after.ts_recent, TSVAL))),
    ROW("timestamp and end of list", 0, WHEN(SET(in.opt, OPT_TS_NO_NOPS)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, SET(after.ts_recent, TSVAL))),
    ROW("timestamp of a wrong length", 0, WHEN(SET(in.opt, OPT_TS_SHORT)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("option of length 0", 0, WHEN(SET(in.opt, OPT_ZERO_SIZE)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("option longer than the header", 0, WHEN(SET(in.opt, OPT_TOO_LONG)), PASS, WC_CTR_PASS_OPTIONS, THEN(UP)),
    ROW("SACK", 0, WHEN(SET(in.nsack, 1), SACK(0, C_OUT - 9, C_OUT - 2)), PASS, WC_CTR_PASS_OPTIONS,
        THEN(UP, OUT_SACK(0, K_OUT - 9, K_OUT - 2))),
};

static void run(struct fix *f, const struct row *rows, size_t n)
{
    table_run(f, rows, n, FIX_TC_IN);
    table_run(f, rows, n, FIX_XDP);
    table_run_how(f, rows, n, FIX_TC_IN, &(struct fix_how){.complete = 1});
}

static void test_refusals(void **state)
{
    run(*state, refusals, LEN(refusals));
}

static void test_refusals_wrapped(void **state)
{
    table_run_wrapped(*state, refusals, LEN(refusals), FIX_TC_IN);
    table_run_wrapped(*state, refusals, LEN(refusals), FIX_XDP);
}

static void test_requests(void **state)
{
    run(*state, requests, LEN(requests));
}

static void test_headers(void **state)
{
    run(*state, headers, LEN(headers));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_wrapped),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_headers),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
