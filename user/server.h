/* What the whole process shares, and what each worker and client has. Passed by pointer; no globals. */
#ifndef WC_SERVER_H
#define WC_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "resp/parse.h"
#include "resp/reply.h"
#include "store/store.h"

struct wc_fastpath;
struct wc_worker;

#define WC_VERSION "0.1.0"
#define WC_CMD_MAX 256 /* rows in the command table, for per-worker statistics */

/* Written by one worker with relaxed atomics (plain add on its own line), read by INFO. */
struct wc_stats {
    _Atomic uint64_t connections_received, commands_processed, keyspace_hits, keyspace_misses;
    _Atomic uint64_t net_input_bytes, net_output_bytes, rejected_connections, errors, protocol_errors;
    _Atomic uint64_t cmd_calls[WC_CMD_MAX], cmd_usec[WC_CMD_MAX], cmd_rejected[WC_CMD_MAX], cmd_failed[WC_CMD_MAX];
} __attribute__((aligned(64)));

static inline void wc_stat_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

#define WC_STAT_WORDS (sizeof(struct wc_stats) / sizeof(uint64_t))

/* What INFO remembers between calls; guarded by config_lock. All zero at start. */
struct wc_info_state {
    uint64_t base[WC_STAT_WORDS]; /* the workers' sums at the last CONFIG RESETSTAT, subtracted since */
    uint64_t base_hits, base_misses, base_in, base_out; /* the kernel's */
    uint64_t base_expired, base_evicted;                /* the store's */
    int64_t sample_ms;                                  /* last look at the totals, for rates */
    uint64_t sample_commands, sample_in, sample_out;
    uint64_t commands_per_s, in_per_s, out_per_s;
};

struct wc_server {
    struct wc_config config; /* guarded by config_lock when changed; single words may be read without it */
    pthread_mutex_t config_lock;
    struct wc_store *store;
    struct wc_fastpath *fastpath; /* NULL when built or started without */
    int nworkers;
    struct wc_worker *workers; /* nworkers of them, see net/worker.h */
    int64_t start_ms;          /* wall clock at start */
    char run_id[41];
    const char *executable;
    _Atomic uint64_t next_client_id;
    _Atomic int64_t connected_clients;
    _Atomic bool stopping;        /* SHUTDOWN sets it, then calls wc_server_wake() */
    int wake_fd;                  /* eventfd, main waits on it */
    struct wc_info_state info;    /* cmd/cmd_info.c's */
    pthread_mutex_t clients_lock; /* the set of clients, and the strings in each wc_client */
};

#define WC_NAME_MAX 64

/* Protocol state of one client, embedded in its connection. Its worker alone changes it; what is atomic may be read by
 * another worker's CLIENT LIST meanwhile (relaxed will do). */
struct wc_client {
    uint64_t id;
    _Atomic int db;
    bool authenticated;
    _Atomic int resp; /* 2 or 3 */
    bool close_after_reply;
    char name[WC_NAME_MAX * 4]; /* CLIENT SETNAME; "" when none */
    char lib_name[WC_NAME_MAX], lib_ver[WC_NAME_MAX];
    char addr[64], laddr[64]; /* ip:port, [ip6]:port */
    int64_t created_ms;
    _Atomic int64_t last_ms;
    _Atomic int last_cmd; /* row in the command table, -1 none */
    _Atomic uint64_t ncommands, in_bytes, out_bytes;
    int fd;
    int fastpath_conn;   /* number of the connection in the kernel half, -1 none: set by the connection, for CLIENT LIST
                          */
    int64_t sleep_ms;    /* set by DEBUG SLEEP: the worker blocks this long before it goes on */
    _Atomic bool killed; /* wc_server_kill_client(): its worker closes it */
};

/* ---- implemented by net/worker.c ---- */

/* Make main look at server->stopping. Any thread. */
void wc_server_wake(struct wc_server *s);
/* The statistics of one worker, 0 <= worker < s->nworkers. */
struct wc_stats *wc_server_stats(struct wc_server *s, int worker);
/* Call fn for every client until it returns false. clients_lock is held: fn must not block. Other workers go on
 * meanwhile, so numbers may be a moment old; whoever changes name, lib_name or lib_ver of a client takes
 * clients_lock around that. */
void wc_server_each_client(struct wc_server *s, bool (*fn)(void *arg, struct wc_client *client), void *arg);
/* CLIENT KILL: close the client soon, without a reply. false: no such id. (To kill oneself after a reply, set
 * close_after_reply.) Do not call from wc_server_each_client(). */
bool wc_server_kill_client(struct wc_server *s, uint64_t id);

#endif
