/* The rules of include/wc_tcp.h, one by one, in tables (tests/lib/tcp_model_step.h).
 *
 * The connection of the tables, in kernel space:
 *
 *     client's bytes    100 ............... 200 ............... 4200
 *                       base_in             executed            right edge of the window (1000 << 2)
 *     server's bytes   5000 .............. 5300
 *                      base_out            sent and acknowledged
 *
 * and with an open exchange, in client space, where the stack sees only 200 and 5300:
 *
 *     client's bytes    ....... 200|<-- request -->|240 .......
 *     server's bytes    ..... 5300|<--   reply  -->|5360 ......
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp_model_step.h"

/* The macros below have defaults that a case overrides. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* ---- states ---- */

#define IDLE                                                                                                           \
    .state = WC_TCP_OPEN, .base_in = 100, .base_out = 5000, .fwd_nxt = 200, .snd_nxt = 5300, .fed_ack = 5300,          \
    .srv_ack = 200, .rcv_edge = 4200, .srv_window = 1000, .srv_wscale = 2, .fed_window = 500, .cli_wscale = 1,         \
    .mss = 400, .hop_limit = 64, .flow = 7, .spoken = 1

#define EXCHANGE                                                                                                       \
    {                                                                                                                  \
        .din = 40, .dout = 60, .inj_in = 200, .inj_out = 5300, .req_len = 40, .reply_len = 60                          \
    }

static const struct wc_tcp blank;                            /* void */
static const struct wc_tcp idle = {IDLE};                    /* nothing was answered yet, nothing is under way */
static const struct wc_tcp exchange = {IDLE, .x = EXCHANGE}; /* the client has not acknowledged the reply */
static const struct wc_tcp history = {IDLE, .x = {.din = 40, .dout = 60, .inj_in = 200, .inj_out = 5300}};

/* The last exchange was 2^31 bytes ago: neither before nor behind what comes now. */
static const struct wc_tcp long_ago = {
    IDLE, .x = {.din = 40, .dout = 60, .inj_in = 200 - 0x80000000u, .inj_out = 5300 - 0x80000000u}};

#define STAMPS .ts_on = 1, .ts_recent = 900, .ts_offset = 7000
static const struct wc_tcp stamped = {IDLE, STAMPS};
static const struct wc_tcp stamped_exchange = {IDLE, STAMPS, .x = EXCHANGE};

/* ---- steps ---- */

#define SEGMENT(len_, ...)                                                                                             \
    .seg = {.len = len_, .flags = (len_) ? WC_ACK | WC_PSH : WC_ACK, .window = 500, .plain = 1, __VA_ARGS__}
#define CLIENT(seq_, len_, ack_, ...) .from = STEP_CLIENT, SEGMENT(len_, .seq = seq_, .ack = ack_, ##__VA_ARGS__)
#define XDP(seq_, len_, ack_, ...)    .from = STEP_XDP, SEGMENT(len_, .seq = seq_, .ack = ack_, ##__VA_ARGS__)
#define STACK(seq_, len_, ack_, ...)                                                                                   \
    .from = STEP_STACK,                                                                                                \
    SEGMENT(len_, .seq = seq_, .ack = ack_, .window = 1000, .hop_limit = 64, .flow = 7, ##__VA_ARGS__)

/* The hot set has a reply of 60 bytes; the worker has executed and sent all up to 200 and 5300. */
#define HOT(...) .offer = {.reply_len = 60, .consumed = 100, .produced = 300, ##__VA_ARGS__}

#define UNTOUCHED                .verdict = WC_TCP_RAW
#define DROPPED                  .verdict = WC_TCP_DROP
#define PASSED(seq_, ack_)       .verdict = WC_TCP_PASS, .out = {.seq = seq_, .ack = ack_}
#define REFUSED(why, seq_, ack_) .verdict = WC_TCP_PASS, .out = {.seq = seq_, .ack = ack_, .refusal = WC_REFUSED_##why}
#define LEFT_TO_TC               .verdict = WC_TCP_PASS
#define REFUSED_BY_XDP(why)      .verdict = WC_TCP_PASS, .out = {.refusal = WC_REFUSED_##why}
#define REPLY(seq_, ack_, ...)                                                                                         \
    {                                                                                                                  \
        .seq = seq_, .ack = ack_, .window = 1000, .hop_limit = 64, .flow = 7, ##__VA_ARGS__                            \
    }
#define ANSWERED(seq_, ack_, ...) .verdict = WC_TCP_ANSWER, .out = REPLY(seq_, ack_, ##__VA_ARGS__)
#define REPLAYED(seq_, ack_, ...) .verdict = WC_TCP_REPLAY, .out = REPLY(seq_, ack_, ##__VA_ARGS__)
#define FED(seq_, ack_, ...)      .verdict = WC_TCP_ANSWER_FEED, .out = REPLY(seq_, ack_, ##__VA_ARGS__)

#define THEN(...) .after = {__VA_ARGS__}
#define WITH(...) .with = {__VA_ARGS__}

#define SET_EXCHANGE                                                                                                   \
    SET(x.inj_in, 200), SET(x.inj_out, 5300), SET(x.din, 40), SET(x.dout, 60), SET(x.req_len, 40), SET(x.reply_len, 60)
#define SET_CLOSED  SET(x.req_len, 0), SET(x.reply_len, 0)
#define SET_CLOSING SET(state, WC_TCP_CLOSING)

/* ---- I1, O1, and entries that are void ---- */

static const struct step_case syn[] = {
    {"void entry: the client's segments are not ours", &blank, .steps = {{CLIENT(200, 40, 5300), HOT(), UNTOUCHED}}},
    {"void entry: XDP neither", &blank, .steps = {{XDP(200, 40, 5300), HOT(), UNTOUCHED}}},
    {"void entry: nor the stack's", &blank, .steps = {{STACK(5300, 10, 200), UNTOUCHED}}},
    {"I1: SYN", &exchange, .steps = {{CLIENT(900, 0, 0, .flags = WC_SYN), UNTOUCHED}}},
    {"I1: SYN that asks for a replay", &exchange,
     .steps = {{CLIENT(200, 40, 5300, .flags = WC_SYN | WC_ACK), UNTOUCHED}}},
    {"I1: SYN with a hot GET", &idle, .steps = {{CLIENT(200, 40, 5300, .flags = WC_SYN | WC_ACK), HOT(), UNTOUCHED}}},
    {"O1: SYN+ACK makes the entry void", &exchange,
     .steps = {{STACK(9000, 0, 901, .flags = WC_SYN | WC_ACK), UNTOUCHED, THEN(SET(state, WC_TCP_NEW))},
               {CLIENT(200, 40, 5300), UNTOUCHED},
               {STACK(5300, 10, 200), UNTOUCHED}}},
    {"O1: SYN alone tells nothing", &exchange, .steps = {{STACK(9000, 0, 0, .flags = WC_SYN), UNTOUCHED}}},
};

/* ---- I2 and I3 ---- */

static const struct step_case replay_of_data[] = {
    {"I2: the request again", &exchange, .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 240)}}},
    {"I2: again and again", &exchange,
     .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 240)}, {CLIENT(200, 40, 5300), REPLAYED(5300, 240)}}},
    {"I2: at XDP", &exchange, .steps = {{XDP(200, 40, 5300), REPLAYED(5300, 240)}}},
    {"I2: goes before an answer", &exchange, .steps = {{CLIENT(200, 40, 5300), HOT(), REPLAYED(5300, 240)}}},
    {"I2: its first byte", &exchange, .steps = {{CLIENT(200, 1, 5300), REPLAYED(5300, 240)}}},
    {"I2: its last byte", &exchange, .steps = {{CLIENT(239, 1, 5300), REPLAYED(5300, 240)}}},
    {"I2: joined with what came before", &exchange, .steps = {{CLIENT(150, 51, 5300), REPLAYED(5300, 240)}}},
    {"I2: joined with what comes next", &exchange, .steps = {{CLIENT(200, 90, 5300), REPLAYED(5300, 240)}}},
    {"I2: with a FIN behind it", &exchange,
     .steps = {{CLIENT(200, 40, 5300, .flags = WC_ACK | WC_FIN), REPLAYED(5300, 240)}}},
    {"I2: not plain: with SACK, ECE or the like", &exchange,
     .steps = {{CLIENT(200, 40, 5300, .plain = 0), REPLAYED(5300, 240)}}},
    {"I2: while the connection closes", &exchange, WITH(SET_CLOSING),
     .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 240)}}},
    {"I2: with the stack's ack of what came behind it", &exchange, WITH(SET(fwd_nxt, 230), SET(srv_ack, 230)),
     .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 270)}}},
    {"I2: the stack's ack is older than the request", &exchange, WITH(SET(srv_ack, 180)),
     .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 240)}}},
    {"I2: looks like the stack's last segment", &exchange,
     WITH(SET(srv_window, 77), SET(hop_limit, 5), SET(flow, 0xabcde)),
     .steps = {{CLIENT(200, 40, 5300), REPLAYED(5300, 240, .window = 77, .hop_limit = 5, .flow = 0xabcde)}}},
    {"I2: timestamp", &stamped_exchange,
     .steps = {{CLIENT(200, 40, 5300, .ts = 1, .tsval = 950, .clock = 33), REPLAYED(5300, 240, .tsval = 7033)}}},
    {"I2: old timestamp, or none", &stamped_exchange,
     .steps = {{CLIENT(200, 40, 5300, .ts = 1, .tsval = 10, .clock = 33), REPLAYED(5300, 240, .tsval = 7033)},
               {CLIENT(200, 40, 5300, .clock = 34), REPLAYED(5300, 240, .tsval = 7034)}}},
    {"I2: the reply just fits the window", &exchange,
     .steps = {{CLIENT(200, 40, 5300, .window = 30), REPLAYED(5300, 240)}}},
    {"I2: part of the reply has arrived", &exchange, .steps = {{CLIENT(200, 40, 5301), REPLAYED(5300, 240)}}},

    {"not I2: the reply does not fit the window", &exchange,
     .steps = {{CLIENT(200, 40, 5300, .window = 29), PASSED(160, 5300), THEN(SET(fed_window, 29))},
               {CLIENT(200, 40, 5300, .window = 30), REPLAYED(5300, 240)}}},
    {"not I2: the same with a larger scale", &exchange, WITH(SET(cli_wscale, 14)),
     .steps = {{CLIENT(200, 40, 5300, .window = 1), REPLAYED(5300, 240)},
               {CLIENT(200, 40, 5300, .window = 0), PASSED(160, 5300), THEN(SET(fed_window, 0))}}},
    {"not I2: what came before the request", &exchange, .steps = {{CLIENT(150, 50, 5300), PASSED(110, 5300)}}},
    {"not I2: what comes behind it", &exchange,
     .steps = {{CLIENT(240, 30, 5300), PASSED(200, 5300), THEN(SET(fwd_nxt, 230))}}},
    {"not I2: an older ack", &exchange, .steps = {{CLIENT(200, 40, 5299), PASSED(160, 5299)}}},
    {"not I2: the reply has arrived; a client that knows it does not ask again", &exchange,
     .steps = {{CLIENT(200, 40, 5360), PASSED(160, 5300)}}},
    {"not I2: no ACK", &exchange, .steps = {{CLIENT(200, 40, 5300, .flags = WC_PSH), PASSED(160, 5300)}}},
    {"not I2: RST", &exchange, .steps = {{CLIENT(200, 40, 5300, .flags = WC_RST | WC_ACK), PASSED(160, 5300)}}},
    {"not I2: there was no exchange yet", &idle, .steps = {{CLIENT(160, 40, 5300), PASSED(160, 5300)}}},
    {"not I2: the exchange is closed", &history, .steps = {{CLIENT(200, 40, 5300), PASSED(160, 5240)}}},
};

static const struct step_case replay_of_acks[] = {
    {"I3: duplicate ACK", &exchange, .steps = {{CLIENT(240, 0, 5300), REPLAYED(5300, 240)}}},
    {"I3: at XDP", &exchange, .steps = {{XDP(240, 0, 5300), REPLAYED(5300, 240)}}},
    {"I3: not plain: with SACK, ECE or the like", &exchange,
     .steps = {{CLIENT(240, 0, 5300, .plain = 0), REPLAYED(5300, 240)}}},
    {"I3: keepalive probe", &exchange, .steps = {{CLIENT(239, 0, 5300), REPLAYED(5300, 240)}}},
    {"I3: keepalive probe behind a pipelined request", &exchange, WITH(SET(fwd_nxt, 230), SET(srv_ack, 230)),
     .steps = {{CLIENT(269, 0, 5300), REPLAYED(5300, 270)}}},
    {"I3: while the connection closes", &exchange, WITH(SET_CLOSING),
     .steps = {{CLIENT(240, 0, 5300), REPLAYED(5300, 240)}}},
    {"I3: from the edge of the window", &exchange, .steps = {{CLIENT(4240, 0, 5300), REPLAYED(5300, 240)}}},
    {"I3: the window has opened", &exchange, WITH(SET(fed_window, 29)),
     .steps = {{CLIENT(240, 0, 5300, .window = 29), DROPPED},
               {CLIENT(240, 0, 5300, .window = 30), REPLAYED(5300, 240)}}},
    {"I3: the client took its window back and kept but the first byte of the reply", &exchange,
     .steps = {{CLIENT(240, 0, 5301), REPLAYED(5300, 240)}}},
    {"I3: all but the last byte", &exchange, .steps = {{CLIENT(240, 0, 5359, .window = 1), REPLAYED(5300, 240)}}},
    {"I3: the rest of the reply just fits the window", &exchange,
     .steps = {{CLIENT(240, 0, 5330, .window = 15), REPLAYED(5300, 240)}}},

    {"not I3: beyond the window", &exchange, .steps = {{CLIENT(4241, 0, 5300), PASSED(4201, 5300)}}},
    {"not I3: two bytes before the end of the request", &exchange,
     .steps = {{CLIENT(238, 0, 5300), PASSED(198, 5300)}}},
    {"not I3: an ACK from before the request", &exchange, .steps = {{CLIENT(200, 0, 5300), DROPPED}}},
    {"not I3: an older ACK from before the request", &exchange, .steps = {{CLIENT(199, 0, 5300), PASSED(199, 5300)}}},
    {"not I3: the reply does not fit the window", &exchange,
     .steps = {{CLIENT(240, 0, 5300, .window = 29), PASSED(200, 5300), THEN(SET(fed_window, 29))}}},
    {"not I3: FIN", &exchange,
     .steps = {{CLIENT(240, 0, 5300, .flags = WC_ACK | WC_FIN), PASSED(200, 5300),
                THEN(SET(fwd_nxt, 201), SET_CLOSING)}}},
    {"not I3: RST", &exchange,
     .steps = {{CLIENT(240, 0, 5300, .flags = WC_ACK | WC_RST), PASSED(200, 5300), THEN(SET_CLOSING)}}},
    {"not I3: no ACK", &exchange, .steps = {{CLIENT(240, 0, 5300, .flags = 0), PASSED(200, 5300)}}},
    {"not I3: the window has no room for the rest of the reply", &exchange,
     .steps = {{CLIENT(240, 0, 5329, .window = 15), PASSED(200, 5300), THEN(SET(fed_window, 15))}}},
    {"not I3: all of the reply has arrived", &exchange, .steps = {{CLIENT(240, 0, 5360), DROPPED, THEN(SET_CLOSED)}}},
};

/* ---- I4 and I5 ---- */

static const struct step_case answer[] = {
    {"I4: hot GET", &idle, .steps = {{CLIENT(200, 40, 5300), HOT(), ANSWERED(5300, 240), THEN(SET_EXCHANGE)}}},
    {"I4: at XDP", &idle, .steps = {{XDP(200, 40, 5300), HOT(), ANSWERED(5300, 240), THEN(SET_EXCHANGE)}}},
    {"I4: what comes with it does not matter", &idle, WITH(SET(probed, 1)),
     .steps = {{CLIENT(200, 40, 5300, .flags = WC_ACK, .window = 400, .hop_limit = 1, .flow = 1), HOT(),
                ANSWERED(5300, 240), THEN(SET_EXCHANGE)}}},
    {"I4: its ack closes the exchange before it", &exchange,
     .steps = {{CLIENT(240, 40, 5360), HOT(), ANSWERED(5360, 280),
                THEN(SET_EXCHANGE, SET(x.din, 80), SET(x.dout, 120))},
               {CLIENT(280, 30, 5420), HOT(.reply_len = 50), ANSWERED(5420, 310),
                THEN(SET(x.din, 110), SET(x.dout, 170), SET(x.req_len, 30), SET(x.reply_len, 50))}}},
    {"I4: after a closed exchange and more data both ways", &history,
     WITH(SET(fwd_nxt, 220), SET(snd_nxt, 5350), SET(fed_ack, 5350)),
     .steps = {{CLIENT(260, 40, 5410), HOT(.consumed = 120, .produced = 350), ANSWERED(5410, 300),
                THEN(SET_EXCHANGE, SET(x.inj_in, 220), SET(x.inj_out, 5350), SET(x.din, 80), SET(x.dout, 120))}}},
    {"I4: totals of more than 2^32", &idle, WITH(SET(base_in, 200 - 0xfffffff0u), SET(base_out, 5300 - 0x90000000u)),
     .steps = {{CLIENT(200, 40, 5300), HOT(.consumed = 0xfffffff0u, .produced = 0x90000000u), ANSWERED(5300, 240),
                THEN(SET_EXCHANGE)}}},
    {"I4: just fits the window", &idle,
     .steps = {{CLIENT(200, 40, 5300, .window = 30), HOT(), ANSWERED(5300, 240), THEN(SET_EXCHANGE)}}},
    {"I4: just fits a segment", &idle,
     .steps = {{CLIENT(200, 40, 5300), HOT(.reply_len = 400), ANSWERED(5300, 240),
                THEN(SET_EXCHANGE, SET(x.dout, 400), SET(x.reply_len, 400))}}},
    {"I4: looks like the stack's last segment", &idle, WITH(SET(srv_window, 77), SET(hop_limit, 5), SET(flow, 0xabcde)),
     .steps = {{CLIENT(200, 40, 5300), HOT(), ANSWERED(5300, 240, .window = 77, .hop_limit = 5, .flow = 0xabcde),
                THEN(SET_EXCHANGE)}}},
    {"I4: timestamp", &stamped,
     .steps = {{CLIENT(200, 40, 5300, .ts = 1, .tsval = 901, .clock = 33), HOT(), ANSWERED(5300, 240, .tsval = 7033),
                THEN(SET_EXCHANGE, SET(ts_recent, 901))}}},
    {"I4: the same timestamp as before, of a clock in microseconds", &stamped, WITH(SET(ts_usec, 1)),
     .steps = {{CLIENT(200, 40, 5300, .ts = 1, .tsval = 900, .clock = 3000000), HOT(),
                ANSWERED(5300, 240, .tsval = 3007000), THEN(SET_EXCHANGE)}}},

    {"I5: the stack waits for its ACK", &idle, WITH(SET(fed_ack, 5200)),
     .steps = {{CLIENT(200, 40, 5300, .window = 450), HOT(), FED(5300, 240, .feed_seq = 200, .feed_ack = 5300),
                THEN(SET_EXCHANGE, SET(fed_ack, 5300), SET(fed_window, 450))}}},
    {"I5: after an exchange", &history, WITH(SET(fed_ack, 5200)),
     .steps = {{CLIENT(240, 40, 5360), HOT(), FED(5360, 280, .feed_seq = 200, .feed_ack = 5300),
                THEN(SET_EXCHANGE, SET(x.din, 80), SET(x.dout, 120), SET(fed_ack, 5300))}}},
    {"I5: XDP leaves it to TC", &idle, WITH(SET(fed_ack, 5200)),
     .steps = {{XDP(200, 40, 5300), HOT(), REFUSED_BY_XDP(FEED)},
               {CLIENT(200, 40, 5300), HOT(), FED(5300, 240, .feed_seq = 200, .feed_ack = 5300),
                THEN(SET_EXCHANGE, SET(fed_ack, 5300))}}},
};

static const struct step_case refusal[] = {
    {"nothing to offer", &idle, .steps = {{CLIENT(200, 40, 5300), PASSED(200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"nothing to offer at XDP", &idle, .steps = {{XDP(200, 40, 5300), LEFT_TO_TC}}},
    {"closing", &idle, WITH(SET_CLOSING),
     .steps = {{CLIENT(200, 40, 5300), HOT(), REFUSED(CLOSING, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"the stack has not spoken", &idle, WITH(SET(spoken, 0)),
     .steps = {{CLIENT(200, 40, 5300), HOT(), REFUSED(SILENT, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"at XDP nothing moves", &idle, WITH(SET_CLOSING), .steps = {{XDP(200, 40, 5300), HOT(), REFUSED_BY_XDP(CLOSING)}}},
    {"old request", &idle, .steps = {{CLIENT(160, 40, 5300), HOT(), REFUSED(NOT_EXECUTED, 160, 5300)}}},
    {"old request, as old as the worker's progress", &idle, WITH(SET(fwd_nxt, 240)),
     .steps = {{CLIENT(200, 40, 5300), HOT(), REFUSED(NOT_EXECUTED, 200, 5300)}}},
    {"request behind a hole", &idle,
     .steps = {{CLIENT(230, 40, 5300), HOT(.consumed = 130), REFUSED(NOT_EXECUTED, 230, 5300),
                THEN(SET(fwd_nxt, 270))}}},
    {"the worker is still busy", &idle, WITH(SET(fwd_nxt, 240)),
     .steps = {{CLIENT(240, 40, 5300), HOT(), REFUSED(NOT_EXECUTED, 240, 5300), THEN(SET(fwd_nxt, 280))}}},
    {"the worker is ahead of us", &idle,
     .steps = {{CLIENT(200, 40, 5300), HOT(.consumed = 101), REFUSED(NOT_EXECUTED, 200, 5300),
                THEN(SET(fwd_nxt, 240))}}},
    {"an earlier reply was not received", &idle, WITH(SET(fed_ack, 5200)),
     .steps = {{CLIENT(200, 40, 5250), HOT(), REFUSED(UNACKED, 200, 5250),
                THEN(SET(fwd_nxt, 240), SET(fed_ack, 5250))}}},
    {"an earlier reply was not received, as far as the worker has got", &idle, WITH(SET(snd_nxt, 5310)),
     .steps = {{CLIENT(200, 40, 5300), HOT(), REFUSED(UNACKED, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"the reply in the kernel was not received", &exchange,
     .steps = {{CLIENT(240, 40, 5300), HOT(), REFUSED(UNACKED, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"all but the last byte of it was received", &exchange,
     .steps = {{CLIENT(240, 40, 5359), HOT(), REFUSED(UNACKED, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"ack of what was never sent", &idle,
     .steps = {{CLIENT(200, 40, 5301), HOT(.produced = 301), REFUSED(UNACKED, 200, 5301)}}},
    {"the worker has produced more than the stack has sent", &idle,
     .steps = {{CLIENT(200, 40, 5300), HOT(.produced = 310), REFUSED(UNACKED, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"no timestamp", &stamped,
     .steps = {{CLIENT(200, 40, 5300, .tsval = 900), HOT(), REFUSED(TIMESTAMP, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"a timestamp out of the blue", &idle,
     .steps = {{CLIENT(200, 40, 5300, .ts = 1, .tsval = 900), HOT(), REFUSED(TIMESTAMP, 200, 5300),
                THEN(SET(fwd_nxt, 240), SET(ts_recent, 900))}}},
    {"old timestamp", &stamped,
     .steps = {{XDP(200, 40, 5300, .ts = 1, .tsval = 899), HOT(), REFUSED_BY_XDP(TIMESTAMP)}}},
    {"the reply does not fit the window", &idle,
     .steps = {{CLIENT(200, 40, 5300, .window = 29), HOT(), REFUSED(WINDOW, 200, 5300),
                THEN(SET(fwd_nxt, 240), SET(fed_window, 29))}}},
    {"the reply fits a window of 65535 << 14 only", &idle, WITH(SET(cli_wscale, 14), SET(mss, 0xffff)),
     .steps = {{XDP(200, 40, 5300, .window = 3), HOT(.reply_len = 0xc001), REFUSED_BY_XDP(WINDOW)},
               {XDP(200, 40, 5300, .window = 0xffff), HOT(.reply_len = 0xc001), ANSWERED(5300, 240),
                THEN(SET_EXCHANGE, SET(x.dout, 0xc001), SET(x.reply_len, 0xc001))}}},
    {"the reply does not fit a segment", &idle,
     .steps = {{CLIENT(200, 40, 5300), HOT(.reply_len = 401), REFUSED(SEGMENT, 200, 5300), THEN(SET(fwd_nxt, 240))}}},
};

/* ---- I6 ---- */

static const struct step_case idle_ack[] = {
    {"I6: says nothing new", &idle, .steps = {{CLIENT(200, 0, 5300), DROPPED}}},
    {"I6: twice", &idle, .steps = {{CLIENT(200, 0, 5300), DROPPED}, {CLIENT(200, 0, 5300), DROPPED}}},
    {"I6: XDP leaves it to TC", &idle, .steps = {{XDP(200, 0, 5300), LEFT_TO_TC}}},
    {"I6: XDP does not close either", &exchange, .steps = {{XDP(240, 0, 5360), LEFT_TO_TC}}},
    {"I6: closes the exchange", &exchange, .steps = {{CLIENT(240, 0, 5360), DROPPED, THEN(SET_CLOSED)}}},
    {"I6: after the exchange", &history, .steps = {{CLIENT(240, 0, 5360), DROPPED}}},
    {"I6: its timestamp is not looked at", &stamped, .steps = {{CLIENT(200, 0, 5300, .ts = 1, .tsval = 950), DROPPED}}},

    {"not I6: not plain", &idle, .steps = {{CLIENT(200, 0, 5300, .plain = 0), PASSED(200, 5300)}}},
    {"not I6: a byte of data", &idle,
     .steps = {{CLIENT(200, 1, 5300, .flags = WC_ACK), PASSED(200, 5300), THEN(SET(fwd_nxt, 201))}}},
    {"not I6: other flags", &idle, .steps = {{CLIENT(200, 0, 5300, .flags = WC_ACK | WC_PSH), PASSED(200, 5300)}}},
    {"not I6: no flags", &idle, .steps = {{CLIENT(200, 0, 5300, .flags = 0), PASSED(200, 5300)}}},
    {"not I6: keepalive probe", &idle, .steps = {{CLIENT(199, 0, 5300), PASSED(199, 5300)}}},
    {"not I6: from further on", &idle, .steps = {{CLIENT(201, 0, 5300), PASSED(201, 5300), THEN(SET(fwd_nxt, 201))}}},
    {"not I6: an old ack", &idle, .steps = {{CLIENT(200, 0, 5299), PASSED(200, 5299)}}},
    {"not I6: news", &idle, WITH(SET(fed_ack, 5299)),
     .steps = {{CLIENT(200, 0, 5300), PASSED(200, 5300), THEN(SET(fed_ack, 5300))}, {CLIENT(200, 0, 5300), DROPPED}}},
    {"not I6: duplicate ACK, something is missing", &idle, WITH(SET(snd_nxt, 5310)),
     .steps = {{CLIENT(200, 0, 5300), PASSED(200, 5300)}}},
    {"not I6: window update", &idle,
     .steps = {{CLIENT(200, 0, 5300, .window = 501), PASSED(200, 5300), THEN(SET(fed_window, 501))},
               {CLIENT(200, 0, 5300, .window = 501), DROPPED}}},
    {"not I6: closing", &idle, WITH(SET_CLOSING), .steps = {{CLIENT(200, 0, 5300), PASSED(200, 5300)}}},
    {"not I6: the stack has not spoken", &idle, WITH(SET(spoken, 0)),
     .steps = {{CLIENT(200, 0, 5300), PASSED(200, 5300)}}},
    {"not I6: the answer to a keepalive probe", &idle,
     .steps = {{STACK(5299, 0, 200), PASSED(5299, 200), THEN(SET(probed, 1))},
               {CLIENT(200, 0, 5300), PASSED(200, 5300), THEN(SET(probed, 0))},
               {CLIENT(200, 0, 5300), DROPPED}}},
    {"not I6: the answer to a keepalive probe closes the exchange", &exchange,
     .steps = {{STACK(5299, 0, 200), PASSED(5299, 200), THEN(SET(probed, 1))},
               {CLIENT(240, 0, 5300), REPLAYED(5300, 240)},
               {CLIENT(240, 0, 5360), PASSED(200, 5300), THEN(SET(probed, 0), SET_CLOSED)}}},
};

/* ---- I7 and I8 ---- */

static const struct step_case pass[] = {
    {"I7: data with news", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(200, 40, 5250, .window = 499), PASSED(200, 5250),
                THEN(SET(fwd_nxt, 240), SET(fed_ack, 5250), SET(fed_window, 499), SET(probed, 0))}}},
    {"I7: after the exchange", &history,
     .steps = {{CLIENT(240, 30, 5360), PASSED(200, 5300), THEN(SET(fwd_nxt, 230))}}},
    {"I7: a hole and its retransmission", &idle,
     .steps = {{CLIENT(230, 30, 5300), PASSED(230, 5300), THEN(SET(fwd_nxt, 260))},
               {CLIENT(200, 30, 5300), HOT(), REFUSED(NOT_EXECUTED, 200, 5300)},
               {CLIENT(260, 40, 5300), HOT(.consumed = 160), ANSWERED(5300, 300),
                THEN(SET_EXCHANGE, SET(x.inj_in, 260))}}},
    {"I7: an older ack does not take the newer one back", &idle,
     .steps = {{CLIENT(200, 40, 5250), PASSED(200, 5250), THEN(SET(fwd_nxt, 240))}}},
    {"I7: ack of what was never sent: not tracked", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(200, 40, 5301, .window = 1, .ts = 1, .tsval = 5), PASSED(200, 5301)},
               {CLIENT(200, 0, 5301, .flags = WC_ACK | WC_FIN), PASSED(200, 5301)}}},
    {"I7: just before the window's end", &idle,
     .steps = {{CLIENT(4200, 10, 5300), PASSED(4200, 5300), THEN(SET(fwd_nxt, 4210))}}},
    {"I7: beyond the window: not tracked", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(4201, 10, 5300, .window = 1), PASSED(4201, 5300)},
               {CLIENT(4201, 0, 5300, .flags = WC_ACK | WC_FIN), PASSED(4201, 5300)}}},
    {"I7: old data: not tracked", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(150, 49, 5300, .window = 1), PASSED(150, 5300)},
               {CLIENT(150, 48, 5300, .flags = WC_ACK | WC_FIN), PASSED(150, 5300)}}},
    {"I7: old data up to the stack's ack", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(150, 50, 5300), PASSED(150, 5300), THEN(SET(fed_ack, 5300), SET(probed, 0))}}},
    {"I7: before the stack speaks all is accepted from the beginning on", &idle, WITH(SET(spoken, 0), SET(probed, 1)),
     .steps = {{CLIENT(50, 49, 5300, .window = 1), PASSED(50, 5300)},
               {CLIENT(50, 50, 5300), PASSED(50, 5300), THEN(SET(probed, 0))},
               {CLIENT(9000, 10, 5300), PASSED(9000, 5300), THEN(SET(fwd_nxt, 9010))}}},
    {"I7: no ACK: its ack means nothing", &idle, WITH(SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(200, 10, 77, .flags = 0, .window = 1), PASSED(200, 77), THEN(SET(fwd_nxt, 210))},
               {CLIENT(210, 10, 999999, .flags = 0), PASSED(210, 999999), THEN(SET(fwd_nxt, 220))}}},
    {"I7: timestamp in order", &stamped,
     .steps = {{CLIENT(200, 10, 5300, .ts = 1, .tsval = 950), PASSED(200, 5300),
                THEN(SET(fwd_nxt, 210), SET(ts_recent, 950))}}},
    {"I7: timestamp behind a hole, of an old segment, or none", &stamped,
     .steps = {{CLIENT(220, 10, 5300, .ts = 1, .tsval = 950), PASSED(220, 5300), THEN(SET(fwd_nxt, 230))},
               {CLIENT(190, 10, 5300, .ts = 1, .tsval = 951), PASSED(190, 5300)},
               {CLIENT(230, 10, 5300, .tsval = 952), PASSED(230, 5300), THEN(SET(fwd_nxt, 240))}}},
    {"I7: no XDP program moves anything", &exchange,
     .steps = {{XDP(240, 30, 5360, .window = 1), LEFT_TO_TC},
               {XDP(240, 0, 5360, .flags = WC_ACK | WC_FIN), LEFT_TO_TC},
               {XDP(240, 0, 5360, .flags = WC_ACK | WC_RST), LEFT_TO_TC}}},

    {"I7: the reply's ACK closes the exchange", &exchange, WITH(SET(snd_nxt, 5400)),
     .steps = {{CLIENT(240, 30, 5360), PASSED(200, 5300), THEN(SET(fwd_nxt, 230), SET_CLOSED)}}},
    {"I7: so does an ACK of what follows", &exchange, WITH(SET(snd_nxt, 5400)),
     .steps = {{CLIENT(240, 0, 5460), PASSED(200, 5400), THEN(SET(fed_ack, 5400), SET_CLOSED)}}},
    {"I7: part of the reply does not", &exchange,
     .steps = {{CLIENT(240, 30, 5359), PASSED(200, 5300), THEN(SET(fwd_nxt, 230))}}},
    {"I7: nor an ACK of what was never sent", &exchange, .steps = {{CLIENT(240, 0, 5361), PASSED(200, 5301)}}},
    {"I7: nor a segment without ACK", &exchange,
     .steps = {{CLIENT(240, 10, 5360, .flags = 0), PASSED(200, 5360), THEN(SET(fwd_nxt, 210))}}},
    {"I7: nor RST", &exchange,
     .steps = {{CLIENT(240, 0, 5360, .flags = WC_ACK | WC_RST), PASSED(200, 5300), THEN(SET_CLOSING)}}},
    {"I7: a probe older than the stack's ack closes", &exchange,
     WITH(SET(fwd_nxt, 230), SET(srv_ack, 230), SET(fed_ack, 5200), SET(probed, 1)),
     .steps = {{CLIENT(239, 0, 5360, .window = 1), PASSED(199, 5300), THEN(SET_CLOSED)}}},
    {"I7: a segment from before the request does not", &exchange, WITH(SET(fwd_nxt, 230), SET(srv_ack, 230)),
     .steps = {{CLIENT(238, 0, 5360), PASSED(198, 5300)}}},
    {"I7: a segment from the window's end closes", &exchange,
     .steps = {{CLIENT(4240, 0, 5360), PASSED(4200, 5300), THEN(SET(fwd_nxt, 4200), SET_CLOSED)}}},
    {"I7: one from beyond it does not", &exchange, .steps = {{CLIENT(4241, 0, 5360), PASSED(4201, 5300)}}},

    {"I7: an empty segment from before the request keeps its place", &exchange,
     .steps = {{CLIENT(190, 0, 5290), PASSED(190, 5290)}}},
    {"I7: one from its start too", &exchange, .steps = {{CLIENT(200, 0, 5290), PASSED(200, 5290)}}},
    {"I7: one from inside looks old", &exchange, .steps = {{CLIENT(201, 0, 5290), PASSED(161, 5290)}}},
    {"I7: garbage byte of a probe looks old", &exchange, .steps = {{CLIENT(199, 1, 5290), PASSED(159, 5290)}}},
    {"I7: FIN from before the request looks old", &exchange,
     .steps = {{CLIENT(199, 0, 5290, .flags = WC_ACK | WC_FIN), PASSED(159, 5290)}}},
};

static const struct step_case end_from_client[] = {
    {"I8: FIN, and nothing is answered any more", &idle,
     .steps = {{CLIENT(200, 0, 5300, .flags = WC_ACK | WC_FIN), PASSED(200, 5300),
                THEN(SET(fwd_nxt, 201), SET_CLOSING)},
               {CLIENT(201, 40, 5300), HOT(.consumed = 101), REFUSED(CLOSING, 201, 5300), THEN(SET(fwd_nxt, 241))}}},
    {"I8: FIN with data", &exchange,
     .steps = {{CLIENT(240, 30, 5360, .flags = WC_ACK | WC_FIN), PASSED(200, 5300),
                THEN(SET(fwd_nxt, 231), SET_CLOSING, SET_CLOSED)}}},
    {"I8: FIN with a hot GET is bpf/'s to keep away, and known afterwards", &idle,
     .steps = {{CLIENT(200, 40, 5300, .flags = WC_ACK | WC_FIN), PASSED(200, 5300),
                THEN(SET(fwd_nxt, 241), SET_CLOSING)}}},
    {"I8: FIN again", &idle, WITH(SET(fwd_nxt, 201), SET(srv_ack, 201), SET_CLOSING),
     .steps = {{CLIENT(200, 0, 5300, .flags = WC_ACK | WC_FIN), PASSED(200, 5300)}}},
    {"I8: RST at the next byte", &idle,
     .steps = {{CLIENT(200, 0, 0, .flags = WC_RST), PASSED(200, 0), THEN(SET_CLOSING)}}},
    {"I8: RST after an exchange", &history,
     .steps = {{CLIENT(240, 0, 0, .flags = WC_RST), PASSED(200, 0), THEN(SET_CLOSING)}}},
    {"I8: RST at the stack's ack while more is under way", &idle, WITH(SET(fwd_nxt, 230)),
     .steps = {{CLIENT(200, 0, 0, .flags = WC_RST), PASSED(200, 0), THEN(SET_CLOSING)}}},
    {"I8: RST at what was passed up last", &idle, WITH(SET(fwd_nxt, 230)),
     .steps = {{CLIENT(230, 0, 0, .flags = WC_RST), PASSED(230, 0), THEN(SET_CLOSING)}}},
    {"I8: RST elsewhere in the window", &idle, WITH(SET(fwd_nxt, 230)),
     .steps = {{CLIENT(229, 0, 0, .flags = WC_RST), PASSED(229, 0)},
               {CLIENT(231, 0, 0, .flags = WC_RST), PASSED(231, 0)}}},
    {"I8: RST out of the window", &idle,
     .steps = {{CLIENT(199, 0, 0, .flags = WC_RST), PASSED(199, 0)},
               {CLIENT(4201, 0, 0, .flags = WC_RST), PASSED(4201, 0)}}},
    {"I8: RST with an ack, of whatever", &idle,
     .steps = {{CLIENT(200, 0, 5999, .flags = WC_ACK | WC_RST, .window = 1), PASSED(200, 5999), THEN(SET_CLOSING)}}},
};

/* ---- O2 and O3 ---- */

static const struct step_case retransmission[] = {
    {"O2: the stack has missed the ACK, and gets the next one", &idle,
     .steps = {{STACK(5200, 50, 200), PASSED(5200, 200), THEN(SET(fed_ack, 5200), SET(probed, 1))},
               {CLIENT(200, 0, 5300), PASSED(200, 5300), THEN(SET(fed_ack, 5300), SET(probed, 0))},
               {CLIENT(200, 0, 5300), DROPPED}}},
    {"O2: or one made of a hot GET, at TC", &idle,
     .steps = {{STACK(5200, 50, 200), PASSED(5200, 200), THEN(SET(fed_ack, 5200), SET(probed, 1))},
               {XDP(200, 40, 5300), HOT(), REFUSED_BY_XDP(FEED)},
               {CLIENT(200, 40, 5300), HOT(), FED(5300, 240, .feed_seq = 200, .feed_ack = 5300),
                THEN(SET_EXCHANGE, SET(fed_ack, 5300))}}},
    {"O2: data that is not acknowledged yet", &idle, WITH(SET(fed_ack, 5200)),
     .steps = {{STACK(5200, 50, 200), PASSED(5200, 200), THEN(SET(probed, 1))}}},
    {"O2: a probe with a byte of data", &idle,
     .steps = {{STACK(5299, 1, 200), PASSED(5299, 200), THEN(SET(fed_ack, 5299), SET(probed, 1))}}},
    {"O2: a probe without", &idle, .steps = {{STACK(5299, 0, 200), PASSED(5299, 200), THEN(SET(probed, 1))}}},
    {"O2: spans the reply", &exchange,
     .steps = {{STACK(5250, 80, 200), DROPPED, THEN(SET(snd_nxt, 5330), SET(fed_ack, 5250), SET(probed, 1))}}},
    {"O2: spans it with its last byte", &exchange,
     .steps = {{STACK(5299, 2, 200), DROPPED, THEN(SET(snd_nxt, 5301), SET(fed_ack, 5299), SET(probed, 1))}}},
    {"O2: spans it with FIN", &exchange,
     .steps = {{STACK(5250, 50, 200, .flags = WC_ACK | WC_FIN), DROPPED,
                THEN(SET(snd_nxt, 5301), SET(fed_ack, 5250), SET(probed, 1), SET_CLOSING)}}},
    {"O2: ends where the reply begins", &exchange,
     .steps = {{STACK(5250, 50, 200), PASSED(5250, 200), THEN(SET(fed_ack, 5250), SET(probed, 1))}}},
    {"O2: begins where the reply ends", &exchange, WITH(SET(snd_nxt, 5330), SET(fed_ack, 5330)),
     .steps = {{STACK(5300, 30, 200), PASSED(5360, 240), THEN(SET(fed_ack, 5300), SET(probed, 1))}}},
    {"O2: spans an old reply", &history, WITH(SET(snd_nxt, 5330), SET(fed_ack, 5330)),
     .steps = {{STACK(5250, 80, 200), PASSED(5310, 240), THEN(SET(fed_ack, 5250), SET(probed, 1))}}},
};

static const struct step_case hold[] = {
    {"O3: bare ACK of the bytes before the request", &exchange, .steps = {{STACK(5300, 0, 200), PASSED(5360, 200)}}},
    {"O3: bare ACK of bytes behind it", &exchange, WITH(SET(fwd_nxt, 230)),
     .steps = {{STACK(5300, 0, 230), PASSED(5360, 200), THEN(SET(srv_ack, 230), SET(rcv_edge, 4230))}}},
    {"O3: bare ACK of older bytes", &exchange, WITH(SET(srv_ack, 180)),
     .steps = {{STACK(5300, 0, 190), PASSED(5360, 190), THEN(SET(srv_ack, 190))},
               {STACK(5300, 0, 199), PASSED(5360, 199), THEN(SET(srv_ack, 199))}}},
    {"O3: old data", &exchange, WITH(SET(fwd_nxt, 230)),
     .steps = {{STACK(5250, 50, 230), PASSED(5250, 200),
                THEN(SET(srv_ack, 230), SET(rcv_edge, 4230), SET(fed_ack, 5250), SET(probed, 1))}}},
    {"O3: keepalive probe", &exchange, .steps = {{STACK(5299, 0, 200), PASSED(5299, 200), THEN(SET(probed, 1))}}},
    {"O3: old FIN", &exchange,
     .steps = {{STACK(5299, 0, 200, .flags = WC_ACK | WC_FIN), PASSED(5299, 200), THEN(SET(probed, 1), SET_CLOSING)}}},
    {"not O3: new data", &exchange, WITH(SET(fwd_nxt, 230)),
     .steps = {{STACK(5300, 1, 230), PASSED(5360, 270),
                THEN(SET(snd_nxt, 5301), SET(srv_ack, 230), SET(rcv_edge, 4230))},
               {STACK(5301, 0, 230), PASSED(5361, 270)}}},
    {"not O3: FIN", &exchange,
     .steps = {{STACK(5300, 0, 200, .flags = WC_ACK | WC_FIN), PASSED(5360, 240),
                THEN(SET(snd_nxt, 5301), SET_CLOSING)}}},
    {"not O3: RST", &exchange,
     .steps = {{STACK(5300, 0, 200, .flags = WC_ACK | WC_RST), PASSED(5360, 240), THEN(SET_CLOSING)}}},
    {"not O3: the exchange is closed", &history, .steps = {{STACK(5300, 0, 200), PASSED(5360, 240)}}},
};

/* ---- O4 and O5 ---- */

static const struct step_case said[] = {
    {"O4: data and an ACK", &idle, WITH(SET(fwd_nxt, 240)),
     .steps = {{STACK(5300, 10, 240), PASSED(5300, 240),
                THEN(SET(snd_nxt, 5310), SET(srv_ack, 240), SET(rcv_edge, 4240))}}},
    {"O4: after an exchange", &history, WITH(SET(fwd_nxt, 240)),
     .steps = {{STACK(5300, 10, 240), PASSED(5360, 280),
                THEN(SET(snd_nxt, 5310), SET(srv_ack, 240), SET(rcv_edge, 4240))}}},
    {"O4: an older ACK takes nothing back", &idle, .steps = {{STACK(5300, 0, 199), PASSED(5300, 199)}}},
    {"O4: acknowledges what we have not seen", &idle,
     .steps = {{STACK(5300, 0, 240), PASSED(5300, 240),
                THEN(SET(srv_ack, 240), SET(fwd_nxt, 240), SET(rcv_edge, 4240))}}},
    {"O4: the window does not shrink, its field does", &idle,
     .steps = {{STACK(5300, 0, 200, .window = 999), PASSED(5300, 200), THEN(SET(srv_window, 999))}}},
    {"O4: the window grows by 4 << 2", &idle,
     .steps = {{STACK(5300, 0, 200, .window = 1004), PASSED(5300, 200),
                THEN(SET(srv_window, 1004), SET(rcv_edge, 4216))}}},
    {"O4: a window of 65535 << 14", &idle, WITH(SET(srv_wscale, 14)),
     .steps = {{STACK(5300, 0, 200, .window = 0xffff), PASSED(5300, 200),
                THEN(SET(srv_window, 0xffff), SET(rcv_edge, 200 + (0xffffu << 14)))}}},
    {"O4: looks change", &idle,
     .steps = {{STACK(5300, 0, 200, .hop_limit = 3, .flow = 9), PASSED(5300, 200),
                THEN(SET(hop_limit, 3), SET(flow, 9))}}},
    {"O4: its first words", &idle,
     WITH(SET(spoken, 0), SET(srv_window, 0), SET(hop_limit, 0), SET(flow, 0), SET(rcv_edge, 200)),
     .steps = {{STACK(5300, 0, 200), PASSED(5300, 200),
                THEN(SET(spoken, 1), SET(srv_window, 1000), SET(hop_limit, 64), SET(flow, 7), SET(rcv_edge, 4200))}}},
    {"O4: part of it is a retransmission", &idle,
     .steps = {{STACK(5299, 11, 200), PASSED(5299, 200),
                THEN(SET(snd_nxt, 5310), SET(fed_ack, 5299), SET(probed, 1))}}},
    {"O4: no ACK, nothing to remember", &idle,
     .steps = {{STACK(5310, 10, 77, .flags = 0, .window = 1, .hop_limit = 1, .flow = 1, .ts = 1), PASSED(5310, 77)}}},
    {"O4: the first timestamp, of a clock that is behind ours", &idle,
     .steps = {{STACK(5300, 0, 200, .ts = 1, .tsval = 20, .clock = 50), PASSED(5300, 200),
                THEN(SET(ts_on, 1), SET(ts_offset, -30))}}},
    {"O4: the first timestamp, of one that is ahead", &idle,
     .steps = {{STACK(5300, 0, 200, .ts = 1, .tsval = 7000, .clock = 50), PASSED(5300, 200),
                THEN(SET(ts_on, 1), SET(ts_offset, 6950))}}},
    {"O4: the first timestamp after segments without", &idle,
     .steps = {{STACK(5300, 0, 200, .tsval = 7000, .clock = 50), PASSED(5300, 200)},
               {STACK(5300, 0, 200, .ts = 1, .tsval = 20, .clock = 60), PASSED(5300, 200),
                THEN(SET(ts_on, 1), SET(ts_offset, -40))},
               {STACK(5300, 0, 200, .ts = 1, .tsval = 19, .clock = 60), PASSED(5300, 200)}}},
    {"O4: a segment without does not turn timestamps off", &stamped,
     .steps = {{STACK(5300, 0, 200), PASSED(5300, 200)},
               {CLIENT(200, 40, 5300, .ts = 1, .tsval = 900, .clock = 5), HOT(), ANSWERED(5300, 240, .tsval = 7005),
                THEN(SET_EXCHANGE)}}},
    {"O4: the offset grows", &stamped,
     .steps = {{STACK(5300, 0, 200, .ts = 1, .tsval = 7101, .clock = 100), PASSED(5300, 200),
                THEN(SET(ts_offset, 7001))}}},
    {"O4: a segment that was stamped a while ago does not make it smaller", &stamped,
     .steps = {{STACK(5300, 0, 200, .ts = 1, .tsval = 7099, .clock = 100), PASSED(5300, 200)}}},

    {"O5: FIN", &idle,
     .steps = {{STACK(5300, 0, 200, .flags = WC_ACK | WC_FIN), PASSED(5300, 200),
                THEN(SET(snd_nxt, 5301), SET_CLOSING)},
               {CLIENT(200, 40, 5301), HOT(.produced = 301), REFUSED(CLOSING, 200, 5301),
                THEN(SET(fwd_nxt, 240), SET(fed_ack, 5301))}}},
    {"O5: FIN with data", &history,
     .steps = {{STACK(5300, 10, 200, .flags = WC_ACK | WC_FIN), PASSED(5360, 240),
                THEN(SET(snd_nxt, 5311), SET_CLOSING)}}},
    {"O5: RST is translated and nothing of it remembered", &history,
     .steps = {{STACK(5310, 0, 250, .flags = WC_ACK | WC_RST, .window = 0, .hop_limit = 1, .flow = 1),
                PASSED(5370, 290), THEN(SET_CLOSING)}}},
    {"O5: RST without ACK", &history,
     .steps = {{STACK(5310, 0, 0, .flags = WC_RST, .window = 0), PASSED(5370, 0), THEN(SET_CLOSING)}}},
};

/* ---- a whole life ---- */

static const struct wc_tcp newborn = {.srv_wscale = 2,
                                      .cli_wscale = 1,
                                      .mss = 400,
                                      .base_in = 100,
                                      .base_out = 5000,
                                      .fwd_nxt = 100,
                                      .snd_nxt = 5000,
                                      .fed_ack = 5000,
                                      .srv_ack = 100,
                                      .rcv_edge = 100,
                                      .state = WC_TCP_OPEN};

static const struct step_case life[] = {
    {"a connection: cold, hot, acknowledged, cold again", &newborn,
     .steps = {{CLIENT(100, 100, 5000), HOT(.consumed = 0, .produced = 0), REFUSED(SILENT, 100, 5000),
                THEN(SET(fwd_nxt, 200), SET(fed_window, 500))},
               {STACK(5000, 300, 200), PASSED(5000, 200),
                THEN(SET(snd_nxt, 5300), SET(srv_ack, 200), SET(rcv_edge, 4200), SET(srv_window, 1000),
                     SET(hop_limit, 64), SET(flow, 7), SET(spoken, 1))},
               {CLIENT(200, 40, 5300), HOT(), FED(5300, 240, .feed_seq = 200, .feed_ack = 5300),
                THEN(SET_EXCHANGE, SET(fed_ack, 5300))},
               {CLIENT(240, 0, 5360), DROPPED, THEN(SET_CLOSED)},
               {CLIENT(240, 30, 5360), PASSED(200, 5300), THEN(SET(fwd_nxt, 230))}}},
    {"the next exchange 2^31 bytes later", &long_ago,
     .steps = {{STACK(5300, 0, 200), PASSED(5360, 240)},
               {CLIENT(240, 0, 5360), DROPPED},
               {CLIENT(240, 40, 5360), HOT(), ANSWERED(5360, 280),
                THEN(SET_EXCHANGE, SET(x.din, 80), SET(x.dout, 120))}}},
    {"a reply that is lost, a pipelined request, a FIN", &exchange,
     .steps = {{CLIENT(240, 30, 5300), PASSED(200, 5300), THEN(SET(fwd_nxt, 230))},
               {STACK(5300, 10, 230), PASSED(5360, 270),
                THEN(SET(snd_nxt, 5310), SET(srv_ack, 230), SET(rcv_edge, 4230))},
               {CLIENT(270, 0, 5300, .plain = 0), REPLAYED(5300, 270)},
               {CLIENT(270, 0, 5370), PASSED(230, 5310), THEN(SET(fed_ack, 5310), SET_CLOSED)},
               {CLIENT(270, 0, 5370, .flags = WC_ACK | WC_FIN), PASSED(230, 5310),
                THEN(SET(fwd_nxt, 231), SET_CLOSING)}}},
};

/* ---- translation alone, for acks and SACK edges ---- */

static const struct step_translation translations[] = {
    {"client's ack before the exchange", &exchange, ACK_TO_KERNEL, 5250, 5250},
    {"client's ack at the start of the reply", &exchange, ACK_TO_KERNEL, 5300, 5300},
    {"client's ack of its first byte", &exchange, ACK_TO_KERNEL, 5301, 5300},
    {"client's ack of all but its last byte", &exchange, ACK_TO_KERNEL, 5359, 5300},
    {"client's ack of all of it", &exchange, ACK_TO_KERNEL, 5360, 5300},
    {"client's SACK edge behind it", &exchange, ACK_TO_KERNEL, 5361, 5301},
    {"client's ack without an exchange", &idle, ACK_TO_KERNEL, 5250, 5250},
    {"client's ack after the exchange", &history, ACK_TO_KERNEL, 5370, 5310},
    {"client's old ack after the exchange", &history, ACK_TO_KERNEL, 5250, 5190},

    {"empty segment before the request", &exchange, EMPTY_TO_KERNEL, 150, 150},
    {"empty segment at its start", &exchange, EMPTY_TO_KERNEL, 200, 200},
    {"empty segment inside", &exchange, EMPTY_TO_KERNEL, 201, 161},
    {"empty segment, one byte before its end", &exchange, EMPTY_TO_KERNEL, 239, 199},
    {"empty segment at its end", &exchange, EMPTY_TO_KERNEL, 240, 200},
    {"empty segment behind it", &exchange, EMPTY_TO_KERNEL, 270, 230},
    {"empty segment after the exchange", &history, EMPTY_TO_KERNEL, 150, 110},
    {"data before the request", &exchange, DATA_TO_KERNEL, 150, 110},
    {"data at its start", &exchange, DATA_TO_KERNEL, 200, 160},
    {"data behind it", &exchange, DATA_TO_KERNEL, 240, 200},
    {"data after the exchange", &history, DATA_TO_KERNEL, 240, 200},

    {"stack's data before the reply", &exchange, SEQ_TO_CLIENT, 5299, 5299},
    {"stack's data behind it", &exchange, SEQ_TO_CLIENT, 5300, 5360},
    {"stack's old data after the exchange", &history, SEQ_TO_CLIENT, 5299, 5359},

    {"stack's ack of old data", &exchange, ACK_TO_CLIENT, 199, 199},
    {"stack's ack up to the request", &exchange, ACK_TO_CLIENT, 200, 240},
    {"stack's ack, or SACK edge, behind it", &exchange, ACK_TO_CLIENT, 230, 270},
    {"stack's ack after the exchange", &history, ACK_TO_CLIENT, 199, 239},
    {"stack's ack of old data, held", &exchange, ACK_TO_CLIENT_HELD, 199, 199},
    {"stack's ack up to the request, held", &exchange, ACK_TO_CLIENT_HELD, 200, 200},
    {"stack's ack behind it, held", &exchange, ACK_TO_CLIENT_HELD, 230, 200},
    {"nothing is held after the exchange", &history, ACK_TO_CLIENT_HELD, 230, 270},

    {"client's ack long after the exchange", &long_ago, ACK_TO_KERNEL, 5360, 5300},
    {"client's data long after the exchange", &long_ago, DATA_TO_KERNEL, 240, 200},
    {"client's empty segment long after the exchange", &long_ago, EMPTY_TO_KERNEL, 240, 200},
    {"stack's data long after the exchange", &long_ago, SEQ_TO_CLIENT, 5300, 5360},
    {"stack's ack long after the exchange", &long_ago, ACK_TO_CLIENT_HELD, 200, 240},
};

/* ---- running ---- */

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static void run_cases(const struct step_case *list, size_t n)
{
    int failed = 0;

    for (size_t i = 0; i < n; i++) {
        const char *failure = step_run(&list[i]);

        if (failure)
            print_error("%s: %s\n", list[i].name, failure);
        failed += !!failure;
    }
    assert_int_equal(failed, 0);
}

#define TABLE(list)                                                                                                    \
    static void test_##list(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        run_cases(list, COUNT(list));                                                                                  \
    }

TABLE(syn)
TABLE(replay_of_data)
TABLE(replay_of_acks)
TABLE(answer)
TABLE(refusal)
TABLE(idle_ack)
TABLE(pass)
TABLE(end_from_client)
TABLE(retransmission)
TABLE(hold)
TABLE(said)
TABLE(life)

static void test_open(void **state)
{
    static struct wc_tcp t = {.srv_wscale = 2, .cli_wscale = 1, .mss = 400}; /* static: padding is zero */

    (void)state;
    wc_tcp_open(&t, 100, 5000);
    assert_memory_equal(&t, &newborn, sizeof(t));
}

static void test_translations(void **state)
{
    int failed = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(translations); i++) {
        const char *failure = step_translate(&translations[i]);

        if (failure)
            print_error("%s: %s\n", translations[i].name, failure);
        failed += !!failure;
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_translations),
        cmocka_unit_test(test_syn),
        cmocka_unit_test(test_replay_of_data),
        cmocka_unit_test(test_replay_of_acks),
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_idle_ack),
        cmocka_unit_test(test_pass),
        cmocka_unit_test(test_end_from_client),
        cmocka_unit_test(test_retransmission),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_said),
        cmocka_unit_test(test_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
