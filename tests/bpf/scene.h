/* One packet through one program, as a row of a table:
 *
 *     ROW("the window is zero", 0, WHEN(SET(in.window, 0)), PASS, WC_CTR_PASS_WINDOW, THEN(UP))
 *         description         |    before                  verdict  counter          after
 *                             restricted to, ONLY_...
 *
 * "Before" changes the quiet connection below; "after" is what differs from the packet that came in (out) and from the
 * state before (after). Packets are compared byte by byte, the state field by field, and no other counter may move.
 *
 * The quiet connection. Kernel space: the stack has 1100 next to receive and 2200 next to send. Client space is 30 and
 * 40 further (din, dout), an exchange long since closed:
 *
 *     client's bytes     1000 ... executed ... 1100 | request: client 1130..1150 |
 *     server's bytes     2000 ... acked ...... 2200 | reply:   client 2240..2247 |
 *
 * OPEN: the exchange above has taken place and is not acknowledged: din 50, dout 47, injected at 1100 and 2200.
 *
 * Every row runs for IPv4 and IPv6, with timestamps and without, through TC and (packets from the client) XDP; the
 * tests of wrapping run all of it again with every number shifted.
 */
#ifndef WC_TEST_SCENE_H
#define WC_TEST_SCENE_H

#include "fixture.h"

#define GET_K   "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"            /* 20 bytes */
#define REPLY_V "$1\r\nv\r\n"                               /* 7 bytes */
#define SET_KV  "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n" /* 27 bytes */

enum scene_numbers {
    BASE_IN = 1000,
    BASE_OUT = 2000,
    K_IN = 1100,  /* next from the client, kernel space */
    K_OUT = 2200, /* next from the stack, kernel space */
    C_IN = 1130,  /* the same in client space */
    C_OUT = 2240,
    REQ = 20,
    REP = 7,
    EDGE = K_IN + (502 << 7),
    TSVAL = 5000,
    TSECR = 4000,
    TS_OFFSET = 777,
};

struct scene {
    /* before */
    struct pkt_spec in;
    struct wc_tcp tcp;
    uint32_t consumed, produced, ctl_flags;
    uint32_t off;                                                           /* control.answering is 0 */
    uint32_t unknown;                                                       /* no entry in conns */
    uint32_t stale;                                                         /* conn_ctl speaks of another connection */
    uint32_t recycled;                                                      /* the entry holds another address pair */
    uint32_t unsaved;                                                       /* no saved reply for the open exchange */
    uint32_t slot_odd, slot_empty, slot_other_key, slot_null, slot_expires; /* expires: 1 in the past, 2 in an hour */
    uint32_t not_hot;                                                       /* hot_keys does not lead to a slot */
    const char *value;
    uint32_t value_len;
    struct fix_how how;
    /* after */
    struct pkt_spec out; /* from the same sender as `in`, or the reply */
    struct wc_tcp after;
    const char *reply; /* ANSWER, FEED, REPLAY; what the slot holds, unless the row says otherwise */
    uint32_t reply_len;
};

struct poke {
    uint16_t at, size;
    uint64_t value;
};

#define SET(field, v)                                                                                                  \
    {                                                                                                                  \
        offsetof(struct scene, field), sizeof(((struct scene *)0)->field), (uint64_t)(v)                               \
    }
#define TEXT(text)            SET(in.payload, (uintptr_t)(text)), SET(in.len, sizeof(text) - 1)
#define SACK(i, from, to)     SET(in.sack[i][0], from), SET(in.sack[i][1], to)
#define OUT_SACK(i, from, to) SET(out.sack[i][0], from), SET(out.sack[i][1], to)

/* The exchange of the picture is open. */
#define OPEN                                                                                                           \
    SET(tcp.x.din, 50), SET(tcp.x.dout, 47), SET(tcp.x.inj_in, K_IN), SET(tcp.x.inj_out, K_OUT),                       \
        SET(tcp.x.req_len, REQ), SET(tcp.x.reply_len, REP)
/* Data of the quiet connection passed up: translated, fwd_nxt behind it. */
#define UP_N(len) SET(out.seq, K_IN), SET(out.ack, K_OUT), SET(after.fwd_nxt, K_IN + (len))
#define UP        UP_N(REQ)
/* Acknowledging the whole reply closes the exchange. */
#define CLOSED SET(after.x.req_len, 0), SET(after.x.reply_len, 0)

enum scene_verdict {
    RAW,    /* on, untouched */
    PASS,   /* on, translated as `then` says; XDP: on, untouched, nothing counted */
    ANSWER, /* the reply and the state follow from the packet */
    FEED,   /* TC: the same, sent as a copy; the packet becomes a bare ACK. XDP: left to TC */
    REPLAY,
    REPLAY_TC, /* the same, by TC alone */
    DROP,      /* XDP: left to TC */
};

enum {
    ONLY_V4 = 1,
    ONLY_V6 = 2,
    ONLY_TS = 4,
    ONLY_NO_TS = 8,
    ONLY_TC = 16,
    ONLY_XDP = 32, /* the row says what XDP does */
};

#define ROW(what, only, when, verdict, counter, then)                                                                  \
    {                                                                                                                  \
        what, only, when, verdict, counter, then                                                                       \
    }
#define WHEN(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define THEN(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

#define NO_COUNTER WC_CTR_COUNT

struct row {
    const char *what;
    unsigned only;
    struct poke given[20];
    enum scene_verdict verdict;
    enum wc_counter counter;
    struct poke then[16];
};

struct variant {
    enum fix_hook hook;
    bool v6, ts;
    /* added to every number: the stack's, and what the exchanges before added to the client's */
    uint32_t in_shift, out_shift, din_shift, dout_shift;
    struct fix_how how; /* added to what the row says */
};

/* The connection of the picture and the GET of it; hook FIX_TC_OUT: a segment "+OK" from the stack. */
void scene_quiet(struct scene *s, const struct variant *v);
/* The entry in conns, conn_ctl, the saved reply and the slot, as `s` says. */
void scene_install(struct fix *f, const struct scene *s, struct wc_conn *conn);
/* The description of the kernel's reply to s->in. Timestamp still to be filled in. */
void scene_reply(const struct scene *s, uint32_t seq, uint32_t ack, enum fix_hook hook, struct pkt_spec *reply);
/* Check the reply's timestamp against the clock and put it into `want`; build, compare. */
bool scene_same_reply(struct pkt_spec *want, const struct scene *s, const struct fix_run *r, const struct pkt *got);
/* Run one row. false: it does not hold; what differs is printed. */
bool scene_run(struct fix *f, const struct row *row, const struct variant *v);
/* Compare two states; prints the fields that differ. */
bool scene_same_tcp(const char *what, const struct wc_tcp *want, const struct wc_tcp *got);

#endif
