/* A simulated connection through wc_tcp.h: client TCP, impaired network, the fast path as bpf/ uses it, server TCP and
 * a worker, driven by one seed in virtual time. The oracle knows every byte of both streams and checks at every step
 * that
 *   - no end takes a byte in the wrong place, and no ack or SACK block covers what the receiver has not got;
 *   - a request is executed once, in order, by the worker or in the kernel;
 *   - the connection ends properly: nobody waits for ever, keepalive and window probes are answered.
 */
#ifndef WC_TCP_MODEL_H
#define WC_TCP_MODEL_H

#include "tcp_model_peer.h"
#include <stdio.h>

enum {
    MODEL_ITEMS_MAX = 12,
    MODEL_TO_SERVER = 0,
    MODEL_TO_CLIENT = 1,
};

enum model_kind {
    MODEL_HOT,  /* answerable */
    MODEL_COLD, /* the worker's */
    MODEL_LURE, /* the worker's, but its second half looks like a hot GET */
};

enum model_end {
    MODEL_END_CLIENT, /* the client half-closes after its last request */
    MODEL_END_SERVER, /* the worker closes after the last reply */
    MODEL_END_KILL,   /* the worker closes whenever it likes */
};

struct model_item {
    enum model_kind kind;
    int len, reply_len;
    int split;        /* first write, 0: all in one */
    bool split_waits; /* for earlier replies, before the second half */
    bool waits;       /* for earlier replies */
    bool cut;         /* ends a segment */
    bool missing;     /* hot, but not in the map just now */
    uint32_t pause_us, split_pause_us;
};

/* All that makes a schedule. Probabilities are per mille. */
struct model_cfg {
    uint64_t seed; /* of what happens at run time */
    uint32_t client_base, server_base;
    int nitems;
    struct model_item items[MODEL_ITEMS_MAX];
    struct model_habits client, server;
    uint32_t loss[2], dup[2], reorder[2];
    uint32_t late;     /* duplicates that come back much later */
    uint32_t clean_us; /* from here on the network is perfect */
    uint32_t delay_us;
    uint32_t host_drop, host_delay_us;             /* between the fast path and the stack */
    uint32_t think_us, publish_us, send_us, stall; /* the worker */
    uint32_t batch;                                /* requests per publication */
    uint32_t read_us;                              /* the client's reading */
    enum model_end end;
    bool end_waits;
    uint32_t kill_us;
    bool xdp, late_open, gso;
    uint32_t clock_lag; /* ticks by which the stack's timestamps may be older than the fast path's clock */
};

struct model_stats {
    uint64_t runs, hot, answered, fed, replayed, dropped, spanning, retransmitted, passed;
    uint64_t refused[16];
    uint64_t lost, duplicated, virtual_us;
};

void model_generate(struct model_cfg *cfg, uint64_t seed);
/* NULL, or what went wrong. Trace may be NULL; stats add up. */
const char *model_run(const struct model_cfg *cfg, struct model_stats *stats, FILE *trace);
/* Makes a failing schedule smaller while it keeps failing; returns the failure of what is left. */
const char *model_shrink(struct model_cfg *cfg);
void model_print(const struct model_cfg *cfg, FILE *to);

#endif
