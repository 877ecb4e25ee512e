/* From the client: the rules I1 to I8 of include/wc_tcp.h, one by one. */
#include "table.h"

#define BARE_ACK        SET(in.len, 0), SET(in.flags, PKT_ACK)
#define BEHIND          SET(in.seq, C_IN + REQ) /* behind the open exchange's request */
#define ACK_REPLY       SET(in.ack, C_OUT + REP)
#define TO(s, a)        SET(out.seq, s), SET(out.ack, a)
#define CLOSING         SET(after.state, WC_TCP_CLOSING)
#define SAVED_TIMESTAMP SET(in.tsval, TSVAL + 500)

static const struct row syn[] = {
    ROW("I1 SYN on a live address pair", 0, WHEN(SET(in.len, 0), SET(in.flags, PKT_SYN)), RAW, NO_COUNTER, THEN()),
    ROW("I1 the same while an exchange is open", 0, WHEN(OPEN, SET(in.len, 0), SET(in.flags, PKT_SYN)), RAW, NO_COUNTER,
        THEN()),
    ROW("I1 SYN with MSS and Fast Open", ONLY_NO_TS,
        WHEN(SET(in.len, 0), SET(in.flags, PKT_SYN), SET(in.opt, OPT_FASTOPEN)), RAW, NO_COUNTER, THEN()),
    ROW("I1 a stray SYN and ACK", 0, WHEN(SET(in.len, 0), SET(in.flags, PKT_SYN | PKT_ACK)), RAW, NO_COUNTER, THEN()),
    ROW("a segment before the entry is ready", 0, WHEN(SET(tcp.state, WC_TCP_NEW), BARE_ACK), RAW, NO_COUNTER, THEN()),
};

static const struct row replays[] = {
    ROW("I2 the request again", 0, WHEN(OPEN), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, with a new timestamp", ONLY_TS, WHEN(OPEN, SAVED_TIMESTAMP), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, the timestamp option missing", ONLY_TS, WHEN(OPEN, SET(in.ts, 0)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, with the next request behind it", 0, WHEN(OPEN, TEXT(GET_K GET_K)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, with a SET behind it", 0, WHEN(OPEN, TEXT(GET_K SET_KV)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 its first half", 0, WHEN(OPEN, SET(in.len, REQ / 2)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 its second half", 0, WHEN(OPEN, SET(in.seq, C_IN + REQ / 2), SET(in.len, REQ / 2)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I2 its last byte and the next request", 0, WHEN(OPEN, TEXT("\n" GET_K), SET(in.seq, C_IN + REQ - 1)), REPLAY,
        NO_COUNTER, THEN()),
    ROW("I2 what was before it, up to its first byte", 0, WHEN(OPEN, SET(in.seq, C_IN - 5), SET(in.len, 6)), REPLAY,
        NO_COUNTER, THEN()),
    ROW("I2 again, with FIN", 0, WHEN(OPEN, SET(in.flags, PKT_PSH | PKT_ACK | PKT_FIN)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, checksum left to hardware", 0, WHEN(OPEN, SET(in.sum, SUM_BARE)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, corrupted: the reply is right all the same", 0, WHEN(OPEN, SET(in.sum, SUM_WRONG)), REPLAY,
        NO_COUNTER, THEN()),
    ROW("I2 again, padded by Ethernet", 0, WHEN(OPEN, SET(in.padding, 6)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, answering is switched off", 0, WHEN(OPEN, SET(off, 1)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, not eligible any more", 0, WHEN(OPEN, SET(ctl_flags, 0)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, the key is not hot any more", 0, WHEN(OPEN, SET(not_hot, 1)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, the value is another one: the old reply", 0,
        WHEN(OPEN, SET(value, (uintptr_t) "wxyz"), SET(value_len, 4)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, the connection is closing", 0, WHEN(OPEN, SET(tcp.state, WC_TCP_CLOSING)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I2 again, a request behind it went up already", 0, WHEN(OPEN, SET(tcp.fwd_nxt, K_IN + 27)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I2 again, a request behind it was acknowledged", 0,
        WHEN(OPEN, SET(tcp.fwd_nxt, K_IN + 27), SET(tcp.srv_ack, K_IN + 27)), REPLAY, NO_COUNTER,
        THEN(SET(out.ack, C_IN + REQ + 27))),
    ROW("I2 again, but the saved reply is gone", 0, WHEN(OPEN, SET(unsaved, 1)), DROP, WC_CTR_DROPPED_REPLAYS, THEN()),
    ROW("I2 again, acknowledging half the reply", 0, WHEN(OPEN, SET(in.ack, C_OUT + 3)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, acknowledging its first byte", 0, WHEN(OPEN, SET(in.ack, C_OUT + 1)), REPLAY, NO_COUNTER, THEN()),
    ROW("I2 again, acknowledging all but its last byte", 0, WHEN(OPEN, SET(in.ack, C_OUT + REP - 1)), REPLAY,
        NO_COUNTER, THEN()),
    ROW("I2 again, acknowledging less than what was before the reply", 0, WHEN(OPEN, SET(in.ack, C_OUT - 1)), PASS,
        WC_CTR_PASS_NOT_EXECUTED, THEN(TO(K_IN - REQ, K_OUT - 1))),
    ROW("I2 again, acknowledging the reply (a late copy)", 0, WHEN(OPEN, ACK_REPLY), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(TO(K_IN - REQ, K_OUT))),
    ROW("I2 bytes up to the request: not it", 0, WHEN(OPEN, SET(in.seq, C_IN - 5), SET(in.len, 5)), PASS,
        WC_CTR_PASS_NOT_GET, THEN(TO(K_IN - 5 - REQ, K_OUT))),
    ROW("I3 bare ACK at the start of the reply", 0, WHEN(OPEN, BARE_ACK, BEHIND), REPLAY, NO_COUNTER, THEN()),
    ROW("I3 the same, padded by Ethernet", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.padding, 6)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I3 with PSH", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.flags, PKT_PSH | PKT_ACK)), REPLAY, NO_COUNTER, THEN()),
    ROW("I3 behind the next request too", 0,
        WHEN(OPEN, BARE_ACK, SET(in.seq, C_IN + REQ + 27), SET(tcp.fwd_nxt, K_IN + 27)), REPLAY, NO_COUNTER, THEN()),
    ROW("I3 a probe of the request's last byte", 0, WHEN(OPEN, BARE_ACK, SET(in.seq, C_IN + REQ - 1)), REPLAY,
        NO_COUNTER, THEN()),
    ROW("I3 the same with a byte", 0, WHEN(OPEN, SET(in.seq, C_IN + REQ - 1), SET(in.len, 1)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I2 again, but the window is zero", 0, WHEN(OPEN, SET(in.window, 0)), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(TO(K_IN - REQ, K_OUT), SET(after.fed_window, 0))),
    ROW("I3 but the window is one byte too small", 0,
        WHEN(OPEN, BARE_ACK, BEHIND, SET(in.window, REP - 1), SET(tcp.cli_wscale, 0)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.fed_window, REP - 1))),
    ROW("I3 and the window just fits", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.window, REP), SET(tcp.cli_wscale, 0)),
        REPLAY, NO_COUNTER, THEN()),
    ROW("I3 but beyond the window", 0, WHEN(OPEN, BARE_ACK, SET(in.seq, EDGE + 51)), PASS, NO_COUNTER,
        THEN(TO(EDGE + 1, K_OUT))),
    ROW("I3 FIN at the start of the reply", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.flags, PKT_FIN | PKT_ACK)), PASS,
        NO_COUNTER, THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + 1), CLOSING)),
};

/* Whatever the headers: a client that always says ECE or SACK would otherwise never get its reply. */
static const struct row odd_replays[] = {
    ROW("I3 duplicate ACK with SACK", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.nsack, 1), SACK(0, C_OUT + 9, C_OUT + 14)),
        REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I3 the same with three blocks", 0,
        WHEN(OPEN, BARE_ACK, BEHIND, SET(in.nsack, 3), SACK(0, C_OUT + 9, C_OUT + 14), SACK(1, C_OUT + 19, C_OUT + 24),
             SACK(2, C_OUT + 29, C_OUT + 34)),
        REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 the request again with D-SACK", 0, WHEN(OPEN, SET(in.nsack, 1), SACK(0, C_OUT - 9, C_OUT - 4)), REPLAY_TC,
        NO_COUNTER, THEN()),
    ROW("I2 with ECE", 0, WHEN(OPEN, SET(in.flags, PKT_ACK | PKT_ECE)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 congestion experienced", 0, WHEN(OPEN, SET(in.tos, 3)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with URG", 0, WHEN(OPEN, SET(in.flags, PKT_ACK | PKT_URG)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with a reserved bit", 0, WHEN(OPEN, SET(in.reserved, 1)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with IP options", ONLY_V4, WHEN(OPEN, SET(in.ip_options, 4)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with extension headers", ONLY_V6, WHEN(OPEN, SET(in.ext, EXT_HOP_AND_DST)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with an unknown option, checksum left to hardware", 0,
        WHEN(OPEN, SET(in.opt, OPT_UNKNOWN), SET(in.sum, SUM_BARE)), REPLAY_TC, NO_COUNTER, THEN()),
    ROW("I2 with the timestamp in another form", ONLY_NO_TS, WHEN(OPEN, SET(in.opt, OPT_TS_AT_END)), REPLAY_TC,
        NO_COUNTER, THEN(SET(out.ts, 1), SET(out.tsecr, TSVAL))),
};

static const struct row answers[] = {
    ROW("I4 the next request, acknowledging the reply", 0, WHEN(OPEN, BEHIND, ACK_REPLY), ANSWER, NO_COUNTER, THEN()),
    ROW("I4 the next request before that", 0, WHEN(OPEN, BEHIND), PASS, WC_CTR_PASS_UNACKED,
        THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + REQ))),
    ROW("I4 the next request, acknowledging half the reply", 0, WHEN(OPEN, BEHIND, SET(in.ack, C_OUT + 3)), PASS,
        WC_CTR_PASS_UNACKED, THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + REQ))),
    ROW("I5 its ACK is news to the stack", 0, WHEN(SET(tcp.fed_ack, K_OUT - 5)), FEED, NO_COUNTER, THEN()),
    ROW("I5 and its window", 0, WHEN(SET(tcp.fed_ack, K_OUT - 5), SET(in.window, 77)), FEED, NO_COUNTER, THEN()),
    ROW("I5 padded by Ethernet", 0, WHEN(SET(tcp.fed_ack, K_OUT - 5), SET(in.padding, 6)), FEED, NO_COUNTER, THEN()),
    ROW("I5 checksum left to hardware", 0, WHEN(SET(tcp.fed_ack, K_OUT - 5), SET(in.sum, SUM_BARE)), FEED, NO_COUNTER,
        THEN()),
    ROW("I5 newer timestamp", ONLY_TS, WHEN(SET(tcp.fed_ack, K_OUT - 5), SET(in.tsval, TSVAL + 9)), FEED, NO_COUNTER,
        THEN()),
    ROW("I5 a null", 0,
        WHEN(SET(tcp.fed_ack, K_OUT - 5), SET(slot_null, 1), SET(reply, (uintptr_t) "$-1\r\n"), SET(reply_len, 5)),
        FEED, NO_COUNTER, THEN()),
};

static const struct row acks[] = {
    ROW("I6 bare ACK of nothing new", 0, WHEN(BARE_ACK), DROP, WC_CTR_DROPPED_ACKS, THEN()),
    ROW("I6 bare ACK of the kernel's reply", 0, WHEN(OPEN, BARE_ACK, BEHIND, ACK_REPLY), DROP, WC_CTR_DROPPED_ACKS,
        THEN(CLOSED)),
    ROW("I3 bare ACK of half of it", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.ack, C_OUT + 3)), REPLAY, NO_COUNTER,
        THEN()),
    ROW("I6 a late one from before the request", 0, WHEN(OPEN, BARE_ACK), DROP, WC_CTR_DROPPED_ACKS, THEN()),
    ROW("I6 padded by Ethernet", 0, WHEN(BARE_ACK, SET(in.padding, 6)), DROP, WC_CTR_DROPPED_ACKS, THEN()),
    ROW("I7 the window is another", 0, WHEN(BARE_ACK, SET(in.window, 500)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.fed_window, 500))),
    ROW("I7 the ACK is news to the stack", 0, WHEN(BARE_ACK, SET(tcp.fed_ack, K_OUT - 5)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.fed_ack, K_OUT))),
    ROW("I7 the stack has asked for it", 0, WHEN(BARE_ACK, SET(tcp.probed, 1)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.probed, 0))),
    ROW("I7 asked for, of the kernel's reply", 0, WHEN(OPEN, BARE_ACK, BEHIND, ACK_REPLY, SET(tcp.probed, 1)), PASS,
        NO_COUNTER, THEN(TO(K_IN, K_OUT), SET(after.probed, 0), CLOSED)),
    ROW("I7 before the stack has spoken", 0, WHEN(BARE_ACK, SET(tcp.spoken, 0)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT))),
    ROW("I7 while closing", 0, WHEN(BARE_ACK, SET(tcp.state, WC_TCP_CLOSING)), PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT))),
    ROW("I7 with PSH", 0, WHEN(BARE_ACK, SET(in.flags, PKT_PSH | PKT_ACK)), PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT))),
    ROW("I7 with ECE", 0, WHEN(BARE_ACK, SET(in.flags, PKT_ECE | PKT_ACK)), PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT))),
    ROW("I7 congestion experienced", 0, WHEN(BARE_ACK, SET(in.tos, 3)), PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT))),
    ROW("I7 keepalive probe", 0, WHEN(BARE_ACK, SET(in.seq, C_IN - 1)), PASS, NO_COUNTER, THEN(TO(K_IN - 1, K_OUT))),
    ROW("I7 keepalive probe after a kernel's reply", 0, WHEN(OPEN, BARE_ACK, SET(in.seq, C_IN + REQ - 1), ACK_REPLY),
        PASS, NO_COUNTER, THEN(TO(K_IN - 1, K_OUT), CLOSED)),
    ROW("I7 keepalive probe with a byte", 0, WHEN(OPEN, SET(in.len, 1), SET(in.seq, C_IN + REQ - 1), ACK_REPLY), PASS,
        WC_CTR_PASS_NOT_GET, THEN(TO(K_IN - 1, K_OUT), CLOSED)),
    ROW("I7 acknowledges what was never sent", 0, WHEN(BARE_ACK, SET(in.ack, C_OUT + 1)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT + 1))),
    ROW("I7 an old ACK", 0, WHEN(BARE_ACK, SET(in.ack, C_OUT - 1)), PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT - 1))),
    ROW("I7 an old ACK while an exchange is open", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.ack, C_OUT - 1)), PASS,
        NO_COUNTER, THEN(TO(K_IN, K_OUT - 1))),
};

static const struct row data[] = {
    ROW("I7 a SET", 0, WHEN(TEXT(SET_KV)), PASS, WC_CTR_PASS_NOT_GET, THEN(UP_N(27))),
    ROW("I7 a SET behind the kernel's reply", 0, WHEN(OPEN, TEXT(SET_KV), BEHIND, ACK_REPLY), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + 27), CLOSED)),
    ROW("I7 a SET before the reply is acknowledged", 0, WHEN(OPEN, TEXT(SET_KV), BEHIND), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + 27))),
    ROW("I7 behind a hole", ONLY_TS, WHEN(TEXT(SET_KV), SET(in.seq, C_IN + 100), SAVED_TIMESTAMP), PASS,
        WC_CTR_PASS_NOT_GET, THEN(TO(K_IN + 100, K_OUT), SET(after.fwd_nxt, K_IN + 127))),
    ROW("I7 the hole's retransmission: a GET", 0, WHEN(SET(tcp.fwd_nxt, K_IN + 127)), PASS, WC_CTR_PASS_NOT_EXECUTED,
        THEN(TO(K_IN, K_OUT))),
    ROW("I7 newer timestamp in order", ONLY_TS, WHEN(TEXT(SET_KV), SAVED_TIMESTAMP), PASS, WC_CTR_PASS_NOT_GET,
        THEN(UP_N(27), SET(after.ts_recent, TSVAL + 500))),
    ROW("I7 old data", 0, WHEN(TEXT(SET_KV), SET(in.seq, C_IN - 28)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(K_IN - 28, K_OUT))),
    ROW("I7 old data and new", 0, WHEN(TEXT(SET_KV), SET(in.seq, C_IN - 7)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(K_IN - 7, K_OUT), SET(after.fwd_nxt, K_IN + 20))),
    ROW("I7 beyond the window", 0, WHEN(TEXT(SET_KV), SET(in.seq, EDGE + 31)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(EDGE + 1, K_OUT))),
    ROW("I7 at the window's edge", 0, WHEN(TEXT(SET_KV), SET(in.seq, EDGE + 30)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(TO(EDGE, K_OUT), SET(after.fwd_nxt, EDGE + 27))),
    ROW("I7 more than 64 KiB in one packet (BIG TCP): IP does not say how long", 0,
        WHEN(TEXT(SET_KV), SET(in.ip_no_total, 1), SET(how.gso, 9)), PASS, WC_CTR_PASS_NOT_GET, THEN(UP_N(27))),
    ROW("the same, but of one segment: not IP", 0, WHEN(TEXT(SET_KV), SET(in.ip_no_total, 1)), RAW, NO_COUNTER, THEN()),
    ROW("I7 URG", 0, WHEN(TEXT(SET_KV), SET(in.flags, PKT_ACK | PKT_URG), SET(in.urgent, 3)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(UP_N(27))),
};

static const struct row ends[] = {
    ROW("I8 FIN", 0, WHEN(BARE_ACK, SET(in.flags, PKT_FIN | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + 1), CLOSING)),
    ROW("I8 FIN with data", 0, WHEN(TEXT(SET_KV), SET(in.flags, PKT_FIN | PKT_ACK)), PASS, WC_CTR_PASS_NOT_GET,
        THEN(UP_N(28), CLOSING)),
    ROW("I8 FIN acknowledging the kernel's reply", 0,
        WHEN(OPEN, BARE_ACK, BEHIND, ACK_REPLY, SET(in.flags, PKT_FIN | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), SET(after.fwd_nxt, K_IN + 1), CLOSED, CLOSING)),
    ROW("I7 FIN beyond the window", 0, WHEN(BARE_ACK, SET(in.flags, PKT_FIN | PKT_ACK), SET(in.seq, EDGE + 31)), PASS,
        NO_COUNTER, THEN(TO(EDGE + 1, K_OUT))),
    ROW("I7 FIN that acknowledges what was never sent", 0,
        WHEN(BARE_ACK, SET(in.flags, PKT_FIN | PKT_ACK), SET(in.ack, C_OUT + 1)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT + 1))),
    ROW("I8 RST", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST | PKT_ACK)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), CLOSING)),
    ROW("I8 RST without ACK: the field is left alone", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST), SET(in.ack, 0)), PASS,
        NO_COUNTER, THEN(SET(out.seq, K_IN), CLOSING)),
    ROW("I8 RST while an exchange is open", 0, WHEN(OPEN, BARE_ACK, BEHIND, SET(in.flags, PKT_RST), SET(in.ack, 0)),
        PASS, NO_COUNTER, THEN(SET(out.seq, K_IN), CLOSING)),
    ROW("I8 RST at the last ACK of the stack", 0,
        WHEN(BARE_ACK, SET(in.flags, PKT_RST), SET(tcp.fwd_nxt, K_IN + 27), SET(in.ack, 0)), PASS, NO_COUNTER,
        THEN(SET(out.seq, K_IN), CLOSING)),
    ROW("I7 RST one too far", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST), SET(in.seq, C_IN + 1), SET(in.ack, 0)), PASS,
        NO_COUNTER, THEN(SET(out.seq, K_IN + 1))),
    ROW("I7 RST one too early", 0, WHEN(BARE_ACK, SET(in.flags, PKT_RST), SET(in.seq, C_IN - 1), SET(in.ack, 0)), PASS,
        NO_COUNTER, THEN(SET(out.seq, K_IN - 1))),
    ROW("I7 RST with the request's number: the stack's view decides", 0,
        WHEN(OPEN, BARE_ACK, SET(in.flags, PKT_RST), SET(in.ack, 0)), PASS, NO_COUNTER,
        THEN(SET(out.seq, K_IN), CLOSING)),
};

/* Edges that the client has received from the stack; edges inside the reply are the injection point. */
static const struct row sacks[] = {
    ROW("SACK, one block", 0,
        WHEN(BARE_ACK, SET(in.nsack, 1), SACK(0, C_OUT + 10, C_OUT + 20), SET(tcp.snd_nxt, K_OUT + 50)), PASS,
        NO_COUNTER, THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20))),
    ROW("SACK, two blocks", 0,
        WHEN(BARE_ACK, SET(in.nsack, 2), SACK(0, C_OUT + 10, C_OUT + 20), SACK(1, C_OUT + 30, C_OUT + 41),
             SET(tcp.snd_nxt, K_OUT + 50)),
        PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20), OUT_SACK(1, K_OUT + 30, K_OUT + 41))),
    ROW("SACK, three blocks", 0,
        WHEN(BARE_ACK, SET(in.nsack, 3), SACK(0, C_OUT + 10, C_OUT + 20), SACK(1, C_OUT + 30, C_OUT + 41),
             SACK(2, C_OUT + 42, C_OUT + 44), SET(tcp.snd_nxt, K_OUT + 50)),
        PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20), OUT_SACK(1, K_OUT + 30, K_OUT + 41),
             OUT_SACK(2, K_OUT + 42, K_OUT + 44))),
    ROW("SACK, four blocks", ONLY_NO_TS,
        WHEN(BARE_ACK, SET(in.nsack, 4), SACK(0, C_OUT + 10, C_OUT + 20), SACK(1, C_OUT + 30, C_OUT + 41),
             SACK(2, C_OUT + 42, C_OUT + 44), SACK(3, C_OUT + 46, C_OUT + 50), SET(tcp.snd_nxt, K_OUT + 50)),
        PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20), OUT_SACK(1, K_OUT + 30, K_OUT + 41),
             OUT_SACK(2, K_OUT + 42, K_OUT + 44), OUT_SACK(3, K_OUT + 46, K_OUT + 50))),
    ROW("SACK without NOPs", 0, WHEN(BARE_ACK, SET(in.sack_pad, 0), SET(in.nsack, 1), SACK(0, C_OUT + 10, C_OUT + 20)),
        PASS, NO_COUNTER, THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20))),
    ROW("SACK at an odd offset: one NOP", 0,
        WHEN(BARE_ACK, SET(in.sack_pad, 1), SET(in.nsack, 1), SACK(0, C_OUT + 10, C_OUT + 20)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20))),
    ROW("SACK at an odd offset: three NOPs, two blocks", 0,
        WHEN(BARE_ACK, SET(in.sack_pad, 3), SET(in.nsack, 2), SACK(0, C_OUT + 10, C_OUT + 20),
             SACK(1, C_OUT + 30, C_OUT + 41)),
        PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 10, K_OUT + 20), OUT_SACK(1, K_OUT + 30, K_OUT + 41))),
    ROW("D-SACK of a reply of the kernel's, acknowledged long ago", 0,
        WHEN(BARE_ACK, SET(in.nsack, 1), SACK(0, C_OUT - REP, C_OUT)), PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT - REP, K_OUT))),
    ROW("SACK behind the open reply", 0,
        WHEN(OPEN, BARE_ACK, BEHIND, ACK_REPLY, SET(in.nsack, 1), SACK(0, C_OUT + REP + 5, C_OUT + REP + 9)), PASS,
        NO_COUNTER, THEN(TO(K_IN, K_OUT), OUT_SACK(0, K_OUT + 5, K_OUT + 9), CLOSED)),
    ROW("D-SACK before, in and around the open reply", 0,
        WHEN(OPEN, BARE_ACK, BEHIND, ACK_REPLY, SET(in.nsack, 3), SACK(0, C_OUT - 9, C_OUT),
             SACK(1, C_OUT, C_OUT + REP), SACK(2, C_OUT + 3, C_OUT + REP + 2)),
        PASS, NO_COUNTER,
        THEN(TO(K_IN, K_OUT), CLOSED, OUT_SACK(0, K_OUT - 9, K_OUT), OUT_SACK(1, K_OUT, K_OUT),
             OUT_SACK(2, K_OUT, K_OUT + 2))),
    ROW("SACK with data", 0,
        WHEN(TEXT(SET_KV), SET(in.nsack, 2), SACK(0, C_OUT + 10, C_OUT + 20), SACK(1, C_OUT + 30, C_OUT + 41)), PASS,
        WC_CTR_PASS_NOT_GET, THEN(UP_N(27), OUT_SACK(0, K_OUT + 10, K_OUT + 20), OUT_SACK(1, K_OUT + 30, K_OUT + 41))),
    ROW("SACK of nothing in the kernel's past: untouched", 0,
        WHEN(BARE_ACK, SET(tcp.x.din, 0), SET(tcp.x.dout, 0), SET(in.seq, K_IN), SET(in.ack, K_OUT), SET(in.nsack, 1),
             SACK(0, K_OUT + 10, K_OUT + 20)),
        PASS, NO_COUNTER, THEN()),
};

static void run(struct fix *f, const struct row *rows, size_t n)
{
    table_run(f, rows, n, FIX_TC_IN);
    table_run(f, rows, n, FIX_XDP);
    table_run_how(f, rows, n, FIX_TC_IN, &(struct fix_how){.complete = 1});
    table_run_wrapped(f, rows, n, FIX_TC_IN);
    table_run_wrapped(f, rows, n, FIX_XDP);
}

#define TABLE(name)                                                                                                    \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        run(*state, name, LEN(name));                                                                                  \
    }

TABLE(syn)
TABLE(replays)
TABLE(odd_replays)
TABLE(answers)
TABLE(acks)
TABLE(data)
TABLE(ends)
TABLE(sacks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syn),     cmocka_unit_test(test_replays), cmocka_unit_test(test_odd_replays),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_acks),    cmocka_unit_test(test_data),
        cmocka_unit_test(test_ends),    cmocka_unit_test(test_sacks),
    };

    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
