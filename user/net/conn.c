#include "net/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "fastpath/fastpath.h"
#include "log.h"
#include "net/worker.h"

#define OUTPUT_HIGH (1024 * 1024)     /* pending output at which a client's input has to wait */
#define OUTPUT_LOW  (OUTPUT_HIGH / 4) /* ... until it is down to this */
#define RECV_MIN    4096              /* room made for each receive */
#define LINGER_MS   2000
#define LINGER_MAX  (256 * 1024) /* bytes thrown away before the connection is cut */
#define MAX_CLOSING 128          /* per worker; beyond, connections are cut without lingering */

static struct wc_netconn *conn_of(struct wc_io *io)
{
    return (struct wc_netconn *)((char *)io - offsetof(struct wc_netconn, io));
}

static void touch(struct wc_netconn *c)
{
    atomic_store_explicit(&c->client.last_ms, c->worker->now_ms, memory_order_relaxed);
}

static size_t pending_output(const struct wc_netconn *c)
{
    return c->sending.len - c->sending.sent + c->out.len;
}

/* ---- the end of a connection ---- */

static void stop_counting(struct wc_netconn *c)
{
    if (c->counted)
        atomic_fetch_sub(&c->worker->server->connected_clients, 1);
    c->counted = false;
}

void wc_netconn_close(struct wc_netconn *c)
{
    struct wc_worker *w = c->worker;

    if (c->state == WC_NETCONN_CLOSED)
        return;
    if (c->state == WC_NETCONN_LINGERING)
        w->nclosing--;
    c->state = WC_NETCONN_CLOSED;
    stop_counting(c);

    pthread_mutex_lock(&w->server->clients_lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&w->server->clients_lock);

    wc_fastpath_conn_close(w->server->fastpath, c->client.fastpath_conn);
    wc_loop_close(w->loop, &c->io);
}

static void on_closed(struct wc_io *io)
{
    struct wc_netconn *c = conn_of(io);

    wc_inbuf_release(&c->in, &c->worker->pool);
    wc_pool_put(&c->worker->pool, c->out.buf, c->out.cap);
    wc_pool_put(&c->worker->pool, c->sending.data, c->sending.cap);
    wc_parser_free(&c->parser);
    free(c);
}

/* From here on only what is in `out` goes to the client. */
static void start_closing(struct wc_netconn *c)
{
    c->state = WC_NETCONN_FLUSHING;
    stop_counting(c);
    wc_inbuf_release(&c->in, &c->worker->pool);
    if (c->paused) {
        c->paused = false;
        wc_loop_resume(c->worker->loop, &c->io);
    }
}

/* The last reply is with the kernel. Closing now would, if the client has sent more, answer with a reset that may
 * overtake that reply. */
static void linger(struct wc_netconn *c)
{
    struct wc_worker *w = c->worker;

    if (c->peer_eof || w->nclosing >= MAX_CLOSING || shutdown(c->io.fd, SHUT_WR)) {
        wc_netconn_close(c);
        return;
    }
    c->state = WC_NETCONN_LINGERING;
    c->deadline_ms = w->now_ms + LINGER_MS;
    w->nclosing++;
    atomic_store_explicit(&w->wants_tick, true, memory_order_relaxed);
}

static void discard(struct wc_netconn *c, size_t n)
{
    c->drained += n;
    if (c->state == WC_NETCONN_LINGERING && c->drained > LINGER_MAX)
        wc_netconn_close(c);
}

/* ---- output ---- */

static void recycle_output(struct wc_netconn *c, struct wc_reply *out)
{
    wc_pool_put(&c->worker->pool, out->buf, out->cap);
    out->buf = NULL;
    out->len = out->cap = 0;
}

/* Give the loop what there is, unless it is busy with a part. May close the connection. */
static void flush(struct wc_netconn *c)
{
    struct wc_reply *out = &c->out;

    if (c->sending.data)
        return;
    if (out->failed) {
        wc_log(WC_LOG_WARNING, "Out of memory for the replies of client %s, closing it", c->client.addr);
        wc_netconn_close(c);
        return;
    }
    if (out->len > 0) {
        ssize_t n = wc_loop_send(c->worker->loop, &c->io, out->buf, out->len);
        if (n < 0) {
            wc_netconn_close(c);
            return;
        }
        if ((size_t)n < out->len) {
            c->sending = (struct wc_sending){.data = out->buf, .len = out->len, .sent = (size_t)n, .cap = out->cap};
            *out = (struct wc_reply){0};
            return;
        }
    }
    recycle_output(c, out);
    if (c->state == WC_NETCONN_FLUSHING)
        linger(c);
}

/* The batch is executed: tell the kernel half, before any of its replies can reach the client. */
static void commit(struct wc_netconn *c)
{
    struct wc_server *s = c->worker->server;
    bool eligible = c->state == WC_NETCONN_OPEN && wc_client_fastpath_eligible(s, &c->client);

    wc_fastpath_conn_progress(s->fastpath, c->client.fastpath_conn, c->consumed, c->produced, eligible,
                              c->client.resp == 3);
}

static void count_output(struct wc_netconn *c, size_t n)
{
    c->produced += (uint32_t)n;
    wc_stat_add(&c->client.out_bytes, n);
    wc_stat_add(&c->worker->stats.net_output_bytes, n);
}

/* ---- input ---- */

static void protocol_error(struct wc_netconn *c, int err)
{
    if (err != -EPROTO) {
        wc_log(WC_LOG_WARNING, "Out of memory for the request of client %s, closing it", c->client.addr);
        c->out.failed = true;
        return;
    }
    wc_stat_add(&c->worker->stats.protocol_errors, 1);
    wc_log(WC_LOG_VERBOSE, "%s from client %s", c->parser.error, c->client.addr);
    wc_reply_errorf(&c->out, "ERR %s", c->parser.error);
}

/* DEBUG SLEEP: this worker, with all its clients, stands still. Looks up now and then, for shutdown. */
static void sleep_for(struct wc_worker *w, int64_t ms)
{
    while (ms > 0 && !atomic_load(&w->stop)) {
        int64_t slice = ms < 50 ? ms : 50;
        struct timespec ts = {.tv_nsec = slice * 1000000};
        nanosleep(&ts, NULL);
        ms -= slice;
    }
    w->now_ms = wc_store_now_ms();
}

/* Execute the complete requests in buf, until the client has to read replies first (*full). Returns bytes consumed. */
static size_t run_batch(struct wc_netconn *c, const char *buf, size_t len, bool *full)
{
    struct wc_worker *w = c->worker;
    struct wc_client *client = &c->client;
    struct wc_parser_limits limits = {
        .max_bulk = w->server->config.proto_max_bulk_len,
        .max_multibulk = INT32_MAX,
        .max_inline = 64 * 1024,
        .max_bulk_unauth = 16384,
    };
    struct wc_cmd_ctx ctx = {
        .server = w->server,
        .client = client,
        .stats = &w->stats,
        .reply = &c->out,
        .now_ms = w->now_ms,
    };
    size_t off = 0;

    *full = false;
    while (off < len) {
        /* One byte, read without the lock. */
        bool trusted = client->authenticated || w->server->config.requirepass[0] == '\0';
        ssize_t n = wc_resp_parse(&c->parser, &limits, trusted, buf + off, len - off);
        if (n == 0)
            break;
        if (n < 0) {
            protocol_error(c, (int)n);
            client->close_after_reply = true;
            break;
        }
        off += (size_t)n;
        if (c->parser.argc == 0)
            continue;
        c->out.resp = client->resp;
        ctx.argc = c->parser.argc;
        ctx.argv = c->parser.argv;
        wc_stat_add(&client->ncommands, 1);
        wc_cmd_execute(&ctx);
        if (__builtin_expect(client->sleep_ms > 0, 0)) {
            sleep_for(w, client->sleep_ms);
            client->sleep_ms = 0;
            ctx.now_ms = w->now_ms;
        }
        if (client->close_after_reply || c->out.failed)
            break;
        if (__builtin_expect(pending_output(c) > OUTPUT_HIGH, 0)) {
            *full = true;
            break;
        }
    }
    return off;
}

/* Execute and send; several batches when one has very large replies. Returns bytes consumed. */
static size_t process(struct wc_netconn *c, const char *buf, size_t len)
{
    struct wc_worker *w = c->worker;
    size_t off = 0;
    bool full;

    do {
        if (!c->out.buf) {
            struct wc_mem m = wc_pool_get(&w->pool);
            c->out.buf = m.data;
            c->out.cap = m.data ? m.cap : 0;
        }
        size_t before = c->out.len;
        size_t n = run_batch(c, buf + off, len - off, &full);
        off += n;
        c->consumed += (uint32_t)n;
        count_output(c, c->out.len - before);
        if (c->client.close_after_reply && c->state == WC_NETCONN_OPEN)
            start_closing(c);
        commit(c);
        flush(c);
    } while (full && c->state == WC_NETCONN_OPEN && pending_output(c) <= OUTPUT_LOW);

    if (full && c->state == WC_NETCONN_OPEN) {
        c->paused = true;
        wc_loop_pause(w->loop, &c->io);
    }
    return off;
}

static void check_input_limit(struct wc_netconn *c)
{
    if (wc_inbuf_used(&c->in) <= c->worker->server->config.client_query_buffer_limit)
        return;
    wc_log(WC_LOG_WARNING, "Closing client that reached max query buffer length: id=%llu addr=%s",
           (unsigned long long)c->client.id, c->client.addr);
    wc_netconn_close(c);
}

/* What the connection keeps: run it as far as it goes. */
static void process_kept(struct wc_netconn *c)
{
    size_t used = process(c, c->in.data + c->in.off, wc_inbuf_used(&c->in));

    if (c->state != WC_NETCONN_OPEN)
        return;
    wc_inbuf_consume(&c->in, &c->worker->pool, used);
    if (!c->in.data)
        wc_parser_trim(&c->parser);
    else
        check_input_limit(c);
}

static void process_received(struct wc_netconn *c, const char *data, size_t n)
{
    size_t used = process(c, data, n);

    if (c->state != WC_NETCONN_OPEN)
        return;
    if (used == n) {
        wc_parser_trim(&c->parser);
        return;
    }
    if (wc_inbuf_append(&c->in, &c->worker->pool, data + used, n - used))
        wc_netconn_close(c);
    else
        check_input_limit(c);
}

static char *on_recv_buffer(struct wc_io *io, size_t *cap)
{
    struct wc_netconn *c = conn_of(io);

    if (c->state != WC_NETCONN_OPEN || !c->in.data)
        return NULL;
    size_t used = wc_inbuf_used(&c->in), want = c->parser.want;
    size_t missing = want > used ? want - used : 1;
    /* All that a bulk's header promises, at once: pages that are never received into cost nothing, and copying while
     * growing would. Unauthenticated clients cannot promise much. */
    if (wc_inbuf_reserve(&c->in, &c->worker->pool, missing > RECV_MIN ? missing : RECV_MIN, want))
        return NULL; /* in smaller steps, then */
    *cap = c->in.cap - c->in.len;
    /* Of a large request no more than its end, so that the next one does not start in its buffer. */
    if (missing > WC_BUF_CHUNK && *cap > missing)
        *cap = missing;
    return c->in.data + c->in.len;
}

static void on_end_of_input(struct wc_netconn *c, ssize_t reason)
{
    if (reason < 0 || pending_output(c) == 0 || c->state == WC_NETCONN_LINGERING) {
        wc_netconn_close(c);
        return;
    }
    /* Redis closes here; what is still to be sent was requested before the end, though. */
    c->peer_eof = true;
    if (c->state == WC_NETCONN_OPEN && !c->paused)
        start_closing(c);
}

static void on_received(struct wc_io *io, char *data, ssize_t n)
{
    struct wc_netconn *c = conn_of(io);

    if (n <= 0) {
        on_end_of_input(c, n);
        return;
    }
    wc_stat_add(&c->worker->stats.net_input_bytes, (uint64_t)n);
    if (c->state != WC_NETCONN_OPEN) {
        discard(c, (size_t)n);
        return;
    }
    wc_stat_add(&c->client.in_bytes, (uint64_t)n);
    touch(c);
    if (!c->in.data && !c->paused) {
        process_received(c, data, (size_t)n);
        return;
    }
    if (c->in.data && data == c->in.data + c->in.len)
        c->in.len += (size_t)n;
    else if (wc_inbuf_append(&c->in, &c->worker->pool, data, (size_t)n)) {
        wc_netconn_close(c);
        return;
    }
    if (!c->paused)
        process_kept(c);
}

static void on_sent(struct wc_io *io, ssize_t n)
{
    struct wc_netconn *c = conn_of(io);

    if (n < 0) {
        wc_netconn_close(c);
        return;
    }
    c->sending.sent += (size_t)n;
    touch(c);
    if (c->sending.sent < c->sending.len)
        return;
    wc_pool_put(&c->worker->pool, c->sending.data, c->sending.cap);
    c->sending = (struct wc_sending){0};
    flush(c);

    if (c->state != WC_NETCONN_OPEN || !c->paused || pending_output(c) > OUTPUT_LOW)
        return;
    c->paused = false;
    if (c->in.data)
        process_kept(c);
    if (c->state == WC_NETCONN_OPEN && !c->paused) {
        if (c->peer_eof)
            on_end_of_input(c, 0);
        else
            wc_loop_resume(c->worker->loop, &c->io);
    }
}

static const struct wc_io_handler conn_handler = {
    .recv_buffer = on_recv_buffer,
    .received = on_received,
    .sent = on_sent,
    .closed = on_closed,
};

/* ---- the start ---- */

static void link_conn(struct wc_worker *w, struct wc_netconn *c)
{
    pthread_mutex_lock(&w->server->clients_lock);
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    pthread_mutex_unlock(&w->server->clients_lock);
}

void wc_netconn_open(struct wc_worker *w, int fd, bool tcp, const char *addr, const char *laddr, const char *refusal)
{
    struct wc_netconn *c = calloc(1, sizeof(*c));

    if (!c) {
        close(fd);
        return;
    }
    c->io = (struct wc_io){.fd = fd, .handler = &conn_handler};
    c->worker = w;
    wc_parser_init(&c->parser);
    wc_client_init(&c->client, w->server, fd);
    c->client.fastpath_conn = -1;
    snprintf(c->client.addr, sizeof(c->client.addr), "%s", addr);
    snprintf(c->client.laddr, sizeof(c->client.laddr), "%s", laddr);
    c->client.created_ms = w->now_ms;
    touch(c);

    int err = wc_loop_start(w->loop, &c->io);
    if (err) {
        wc_log(WC_LOG_WARNING, "Error registering fd event for the new client: %s", strerror(-err));
        close(fd);
        free(c);
        return;
    }
    if (tcp)
        c->client.fastpath_conn = wc_fastpath_conn_open(w->server->fastpath, fd);
    link_conn(w, c);

    if (refusal) {
        c->state = WC_NETCONN_FLUSHING;
        wc_reply_raw(&c->out, refusal, strlen(refusal));
        count_output(c, c->out.len);
        commit(c);
        flush(c);
        return;
    }
    c->counted = true;
    atomic_fetch_add(&w->server->connected_clients, 1);
    wc_stat_add(&w->stats.connections_received, 1);
    commit(c);
}

/* ---- housekeeping ---- */

static bool overdue(const struct wc_netconn *c, int64_t now_ms, int64_t timeout_ms)
{
    if (atomic_load_explicit(&c->client.killed, memory_order_relaxed))
        return true;
    if (c->state == WC_NETCONN_LINGERING)
        return now_ms >= c->deadline_ms;
    /* A client that the kernel serves sends userspace nothing, and is not idle. */
    return timeout_ms > 0 && now_ms - c->client.last_ms > timeout_ms &&
           wc_fastpath_conn_idle_ms(c->worker->server->fastpath, c->client.fastpath_conn) > timeout_ms;
}

void wc_netconns_check(struct wc_worker *w)
{
    int64_t timeout_ms = (int64_t)w->server->config.timeout * 1000;

    for (struct wc_netconn *c = w->conns, *next; c; c = next) {
        next = c->next;
        if (!overdue(c, w->now_ms, timeout_ms))
            continue;
        if (c->state == WC_NETCONN_OPEN)
            wc_log(WC_LOG_VERBOSE, "Closing %s client %s", atomic_load(&c->client.killed) ? "killed" : "idle",
                   c->client.addr);
        wc_netconn_close(c);
    }
}
