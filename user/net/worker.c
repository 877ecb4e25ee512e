#include "net/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "net/admit.h"
#include "net/conn.h"

static void on_accepted(struct wc_io *io, int fd)
{
    struct wc_listener *l = (struct wc_listener *)((char *)io - offsetof(struct wc_listener, io));

    struct wc_worker *w = l->worker;

    if (fd < 0) {
        atomic_store(&w->wants_tick, true);
        if (!w->starved) /* it is tried again and again */
            wc_log(WC_LOG_WARNING, "Accepting client connection: %s", strerror(-fd));
        w->starved = true;
        return;
    }
    w->starved = false;
    wc_admit(w, fd, l->tcp);
}

static void on_closed(struct wc_io *io)
{
    (void)io; /* part of its worker */
}

static const struct wc_io_handler listener_handler = {.accepted = on_accepted, .closed = on_closed};

/* ---- the thread ---- */

static void housekeeping(struct wc_worker *w)
{
    wc_netconns_check(w);
    atomic_store(&w->wants_tick, w->nclosing > 0 || w->loop->parked);
}

static void *run(void *arg)
{
    struct wc_worker *w = arg;

    while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
        wc_loop_wait(w->loop);
        w->now_ms = wc_store_now_ms();
        wc_loop_dispatch(w->loop);
        if (w->loop->woken) {
            w->loop->woken = false;
            housekeeping(w);
        }
    }
    return NULL;
}

/* ---- life cycle, from main ---- */

int wc_workers_new(struct wc_server *server)
{
    /* Over-aligned for the statistics, which must not share cache lines. */
    size_t size = (size_t)server->nworkers * sizeof(struct wc_worker);

    server->workers = aligned_alloc(_Alignof(struct wc_worker), size);
    if (!server->workers)
        return -ENOMEM;
    memset(server->workers, 0, size);
    for (int i = 0; i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        w->server = server;
        w->index = i;
        w->now_ms = wc_store_now_ms();
        w->keepalive = server->config.tcp_keepalive;
        int err = wc_loop_new(&w->loop, server->config.io);
        if (err)
            return err;
    }
    return 0;
}

static int add_listener(struct wc_worker *w, int fd, bool tcp)
{
    struct wc_listener *l = &w->listeners[w->nlisteners];

    *l = (struct wc_listener){.io = {.fd = fd, .handler = &listener_handler}, .worker = w, .tcp = tcp};
    int err = wc_loop_listen(w->loop, &l->io);
    if (err) {
        close(fd);
        return err;
    }
    w->nlisteners++;
    return 0;
}

int wc_workers_listen(struct wc_server *server, struct wc_listen_plan *plan, char *err, size_t errlen)
{
    int r = wc_listen_unix(plan, err, errlen);

    for (int i = 0; r == 0 && i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        for (int a = 0; r == 0 && a < plan->naddrs; a++) {
            int fd = wc_listen_tcp(plan, a, err, errlen);
            if (fd < 0)
                return fd;
            r = add_listener(w, fd, true);
        }
        if (r == 0 && plan->unix_fd >= 0) {
            int fd = fcntl(plan->unix_fd, F_DUPFD_CLOEXEC, 0);
            r = fd < 0 ? -errno : add_listener(w, fd, false);
        }
        if (r)
            snprintf(err, errlen, "Could not watch a listening socket: %s", strerror(-r));
    }
    return r;
}

int wc_workers_start(struct wc_server *server)
{
    for (int i = 0; i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        char name[24]; /* more than 999 workers go unnamed */
        int err = pthread_create(&w->thread, NULL, run, w);
        if (err)
            return -err;
        w->started = true;
        snprintf(name, sizeof(name), "wc-worker-%d", i);
        pthread_setname_np(w->thread, name);
    }
    return 0;
}

void wc_workers_tick(struct wc_server *server, bool all)
{
    for (int i = 0; i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        if (all || atomic_load_explicit(&w->wants_tick, memory_order_relaxed))
            wc_loop_wake(w->loop);
    }
}

void wc_workers_stop(struct wc_server *server)
{
    for (int i = 0; i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        atomic_store(&w->stop, true);
        if (w->started)
            wc_loop_wake(w->loop);
    }
    for (int i = 0; i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        if (w->started)
            pthread_join(w->thread, NULL);
        w->started = false;
        for (int l = 0; l < w->nlisteners; l++)
            wc_loop_close(w->loop, &w->listeners[l].io);
        w->nlisteners = 0;
        while (w->conns)
            wc_netconn_close(w->conns);
    }
}

void wc_workers_free(struct wc_server *server)
{
    for (int i = 0; server->workers && i < server->nworkers; i++) {
        struct wc_worker *w = &server->workers[i];
        if (w->loop)
            wc_loop_free(w->loop);
        wc_pool_clear(&w->pool);
    }
    free(server->workers);
    server->workers = NULL;
}

/* ---- what commands may ask for (server.h) ---- */

void wc_server_wake(struct wc_server *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->wake_fd, &one, sizeof(one));
    (void)n; /* a full counter wakes as well */
}

struct wc_stats *wc_server_stats(struct wc_server *s, int worker)
{
    return &s->workers[worker].stats;
}

void wc_server_each_client(struct wc_server *s, bool (*fn)(void *arg, struct wc_client *client), void *arg)
{
    bool go_on = true;

    pthread_mutex_lock(&s->clients_lock);
    for (int i = 0; go_on && i < s->nworkers; i++)
        for (struct wc_netconn *c = s->workers[i].conns; go_on && c; c = c->next)
            if (c->counted)
                go_on = fn(arg, &c->client);
    pthread_mutex_unlock(&s->clients_lock);
}

bool wc_server_kill_client(struct wc_server *s, uint64_t id)
{
    bool found = false;

    pthread_mutex_lock(&s->clients_lock);
    for (int i = 0; !found && i < s->nworkers; i++) {
        struct wc_worker *w = &s->workers[i];
        for (struct wc_netconn *c = w->conns; !found && c; c = c->next) {
            if (c->client.id != id)
                continue;
            atomic_store(&c->client.killed, true);
            wc_loop_wake(w->loop);
            found = true;
        }
    }
    pthread_mutex_unlock(&s->clients_lock);
    return found;
}
