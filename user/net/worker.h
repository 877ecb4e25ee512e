/* Worker threads: each runs one event loop with its own listening sockets and its own connections.
 *
 * Locks: server->clients_lock guards the lists of connections of all workers (a worker may walk its own without it,
 * since nobody else changes them). It is taken before nothing and after nothing: no other lock is held with it.
 */
#ifndef WC_NET_WORKER_H
#define WC_NET_WORKER_H

#include "net/buffer.h"
#include "net/listen.h"
#include "net/loop.h"
#include "server.h"

struct wc_netconn;

struct wc_listener {
    struct wc_io io;
    struct wc_worker *worker;
    bool tcp;
};

struct wc_worker {
    struct wc_server *server;
    struct wc_loop *loop;
    int64_t now_ms; /* wall clock at the start of this turn */
    struct wc_bufpool pool;
    struct wc_netconn *conns;
    unsigned nclosing; /* connections that end when the peer has read the rest, or after a while */
    int index;
    pthread_t thread;
    bool started;
    bool starved;  /* the last accept found no free descriptor */
    int keepalive; /* tcp-keepalive that the listening sockets, and so accepted ones, have */
    int nlisteners;
    struct wc_listener listeners[WC_LISTEN_MAX + 1];
    /* written by other threads */
    _Atomic bool stop;
    /* read by main: wake this worker ten times a second, for what has a deadline */
    _Atomic bool wants_tick;
    struct wc_stats stats;
};

/* Allocate server->nworkers workers into server->workers. 0 or -errno. */
int wc_workers_new(struct wc_server *server);
/* Give every worker its listening sockets. 0, or -errno with one line in err; nothing accepts before start. */
int wc_workers_listen(struct wc_server *server, struct wc_listen_plan *plan, char *err, size_t errlen);
/* Start the threads. 0 or -errno. */
int wc_workers_start(struct wc_server *server);
/* Ten times a second, from main: wakes the workers that have something to do with time. */
void wc_workers_tick(struct wc_server *server, bool all);
/* Stop accepting, close all connections, end the threads. Works after a failed start too. */
void wc_workers_stop(struct wc_server *server);
void wc_workers_free(struct wc_server *server);

#endif
