/* What tcp_model.c and tcp_model_path.c share: the state of one simulated connection. */
#ifndef WC_TCP_MODEL_SIM_H
#define WC_TCP_MODEL_SIM_H

#include "tcp_model.h"
#include "wc_tcp.h"

enum {
    MODEL_PACKETS_MAX = 512,
    MODEL_LURE_ID = 0xee,
};

enum packet_place { PLACE_FREE, PLACE_TO_SERVER, PLACE_TO_CLIENT, PLACE_HOST };

struct packet {
    uint32_t at;
    uint32_t order;
    struct model_seg seg;
};

enum done { DONE_NOT, DONE_WORKER, DONE_KERNEL };

struct model {
    const struct model_cfg *cfg;
    struct model_stats *stats;
    FILE *trace;
    int trace_lines;
    uint64_t rng;
    uint32_t now, order;
    const char *failure;

    struct model_peer client, server;
    struct wc_tcp tcp;

    /* the saved reply */
    uint32_t saved_seq;
    int saved_item, replays;

    /* packets under way: place[i] says where packets[i] is going */
    uint8_t place[MODEL_PACKETS_MAX];
    int used; /* places above are free */
    struct packet packets[MODEL_PACKETS_MAX];
    uint32_t host_free_at;

    /* streams and where the items lie in them */
    uint8_t script[MODEL_STREAM_MAX], replies[MODEL_STREAM_MAX];
    int32_t item_at[MODEL_ITEMS_MAX + 1], reply_at[MODEL_ITEMS_MAX + 1];
    enum done done[MODEL_ITEMS_MAX];
    int next_item;                       /* the first one not executed */
    int32_t answered_in;                 /* bytes of requests that the stack never saw */
    int32_t reply_pos[MODEL_STREAM_MAX]; /* position in replies[] of each byte that the worker wrote */

    /* client application */
    int app_item, app_half;
    bool app_paused, app_closed;
    uint32_t app_at, read_at;

    /* worker */
    enum { WORK_IDLE, WORK_EXECUTE, WORK_PUBLISH, WORK_SEND } work;
    uint32_t work_at, kill_at;
    int32_t parsed;             /* of the bytes that the stack delivered */
    int32_t consumed, produced; /* executed */
    uint32_t published_in, published_out;
    bool asked, eligible;
    uint32_t last_tsval; /* of the server */
    bool worker_closed;
};

/* tcp_model.c */
bool model_chance(struct model *m, uint32_t per_mille);
void model_trace(struct model *m, const char *what, const struct model_seg *s, bool from_client);
void model_execute(struct model *m, int item, enum done how);

/* tcp_model_path.c: from one stack to the other, through the network and the fast path */
void model_path_open(struct model *m);      /* the entry, as the server's stack stands now */
int model_path_next(const struct model *m); /* the packet that comes next; -1: none */
void model_path_deliver(struct model *m, int packet);

#endif
