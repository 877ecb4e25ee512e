/* See client.h. */
#include "client.h"

#include "rng.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void grow(char **buf, size_t *size, size_t need)
{
    if (need <= *size)
        return;
    *size = need + need / 2;
    *buf = realloc(*buf, *size);
    if (!*buf)
        abort();
}

static void progress(struct client *c, uint64_t now)
{
    if (client_busy(c) && now > c->progress && now - c->progress > totals.longest_ns)
        totals.longest_ns = now - c->progress;
    c->progress = now;
}

/* ---- opening and closing ---- */

/* Some connections are unlike the others: a small window, small segments, Nagle, keepalives. */
static void set_options(struct client *c)
{
    int on = 1, window = 2048 << rng_below(&c->rng, 4), mss = 400 + (int)rng_below(&c->rng, 600);
    int probes = 8;

    if (rng_below(&c->rng, 8))
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (rng_below(&c->rng, 8) == 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    if (rng_below(&c->rng, 10) == 0)
        setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
    if (rng_below(&c->rng, 4) == 0) {
        setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof(on));
        setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof(on));
        setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    }
}

void client_connect(struct client *c, uint64_t now)
{
    c->fd = socket(server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail(c, "socket: %s", strerror(errno));
    set_options(c);
    if (connect(c->fd, (struct sockaddr *)&server, server_len) && errno != EINPROGRESS) {
        if (errno != EADDRNOTAVAIL)
            fail(c, "connect: %s", strerror(errno));
        close(c->fd); /* every local port is in use or in TIME_WAIT */
        c->step_after = now + 100 * MSEC;
        return;
    }
    c->state = CONNECTING;
    c->events = 0;
    c->progress = now;
    totals.connects++;
}

/* Back to nothing, as before the connection. */
static void forget(struct client *c, uint64_t now)
{
    close(c->fd);
    keys_give_up(c);
    c->state = CLOSED;
    c->ending = GO_ON;
    c->op_first = c->op_unsent = c->op_next = 0;
    c->out_base = c->out_sent = c->out_end = c->in_total = 0;
    c->in_len = 0;
    c->ncuts = c->burst = 0;
    c->await = false;
    c->write_after = c->read_after = 0;
    c->step_after = now + rng_below(&c->rng, 20) * MSEC;
}

/* Everything is written: what was planned for then. */
static void end_stream(struct client *c, uint64_t now)
{
    struct linger at_once = {.l_onoff = 1};

    switch (c->ending) {
    case GO_ON:
        return;
    case FIN:
        if (shutdown(c->fd, SHUT_WR))
            fail(c, "shutdown: %s", strerror(errno));
        totals.fins++;
        c->state = HALF_CLOSED;
        c->ending = GO_ON;
        return;
    case RESET:
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        totals.resets++;
        break;
    case CLOSE:
        break;
    }
    forget(c, now);
}

/* ---- writing ---- */

void client_words(struct client *c, unsigned n, const char *const *words, const size_t *lens)
{
    size_t need = 32, at = c->out_end - c->out_base;

    for (unsigned i = 0; i < n; i++)
        need += lens[i] + 32;
    grow(&c->out, &c->out_size, at + need);
    at += (size_t)sprintf(c->out + at, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++) {
        at += (size_t)sprintf(c->out + at, "$%zu\r\n", lens[i]);
        memcpy(c->out + at, words[i], lens[i]);
        memcpy(c->out + at + lens[i], "\r\n", 2);
        at += lens[i] + 2;
    }
    c->out_end = c->out_base + at;
}

struct op *client_begin(struct client *c, enum command command)
{
    struct op *op = client_op(c, c->op_next++);

    memset(op, 0, sizeof(*op));
    op->command = command;
    op->end = c->out_end;
    return op;
}

/* Commands whose last byte has been written. */
static void mark_sent(struct client *c, uint64_t now)
{
    for (; c->op_unsent != c->op_next; c->op_unsent++) {
        struct op *op = client_op(c, c->op_unsent);

        if (op->end > c->out_sent)
            return;
        for (unsigned i = 0; i < op->n; i++)
            history_read_sent(&op->reads[i], now);
        if (op->key)
            history_sent(op->key, op->version, now);
    }
}

/* A cut was reached: the rest comes in a write of its own, at once, a little later, or when everything before is
 * answered. */
static void cut(struct client *c, uint64_t now)
{
    uint64_t how = rng_below(&c->rng, 4);

    memmove(c->cuts, c->cuts + 1, --c->ncuts * sizeof(*c->cuts));
    if (how < 2)
        c->write_after = now + rng_below(&c->rng, 8 * MSEC);
    c->await = how == 2;
}

void client_write(struct client *c, uint64_t now)
{
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t len = sizeof(error);

        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            fail(c, "connect: %s", strerror(error));
        progress(c, now);
        c->state = UP;
    }
    while (c->out_sent < c->out_end && client_may_write(c, now)) {
        uint64_t end = c->ncuts ? c->cuts[0] : c->out_end;
        ssize_t n;

        c->await = false;
        n = send(c->fd, c->out + (c->out_sent - c->out_base), end - c->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            fail(c, "send: %s", strerror(errno));
        }
        progress(c, now);
        totals.out_bytes += (uint64_t)n;
        c->out_sent += (uint64_t)n;
        mark_sent(c, now);
        if (c->ncuts && c->out_sent == c->cuts[0])
            cut(c, now);
    }
    if (c->out_sent < c->out_end)
        return;
    c->out_base = c->out_end;
    if (c->state == UP && now >= c->write_after)
        end_stream(c, now);
}

/* ---- reading ---- */

/* A line's length with its CR LF, 0 when it is not whole yet. */
static size_t line_len(const char *s, size_t len)
{
    const char *end = memmem(s, len < 64 ? len : 64, "\r\n", 2);

    return end ? (size_t)(end - s) + 2 : 0;
}

/* A header such as $12: its length and number. Leaves out whatever Redis would not write. */
static size_t header(const struct client *c, const char *s, size_t len, char type, long *number)
{
    size_t line = line_len(s, len);
    char again[64];

    if (!line && len < 32)
        return 0;
    *number = line ? strtol(s + 1, NULL, 10) : 0;
    snprintf(again, sizeof(again), "%c%ld\r\n", type, *number);
    if (!line || strlen(again) != line || memcmp(s, again, line) != 0 || *number < -1)
        fail(c, "MALFORMED: %c<number> expected, not %.*s", type, (int)(len < 60 ? len : 60), s);
    return line;
}

/* One bulk string, checked against the read that asked for it; 0: not whole yet. */
static size_t take_value(const struct client *c, const struct read *r, const char *s, size_t len, uint64_t now)
{
    char why[1024];
    long n;
    size_t head = header(c, s, len, '$', &n);

    if (!head || (n >= 0 && len < head + (size_t)n + 2))
        return 0;
    totals.reads++;
    totals.absent += n < 0;
    if (!history_read_ok(r, n < 0 ? NULL : s + head, n < 0 ? 0 : (size_t)n, now, why, sizeof(why)))
        fail(c, "%s", why);
    if (n < 0)
        return head;
    if (memcmp(s + head + n, "\r\n", 2) != 0)
        fail(c, "MALFORMED: no CR LF behind a value of %ld bytes", n);
    return head + (size_t)n + 2;
}

static size_t take_values(const struct client *c, const struct op *op, const char *s, size_t len, uint64_t now)
{
    long n;
    size_t at = header(c, s, len, '*', &n);

    if (at && n != (long)op->n)
        fail(c, "MALFORMED: %ld values for %u keys", n, op->n);
    for (unsigned i = 0; at && i < op->n; i++) {
        size_t one = take_value(c, &op->reads[i], s + at, len - at, now);

        at = one ? at + one : 0;
    }
    return at;
}

static size_t take_line(const struct client *c, const char *expect, const char *s, size_t len)
{
    size_t want = strlen(expect);

    if (memcmp(s, expect, len < want ? len : want) != 0)
        fail(c, "WRONG REPLY: %.*s expected, not %.*s", (int)want - 2, expect, (int)(len < 60 ? len : 60), s);
    return len < want ? 0 : want;
}

static size_t take_written(const struct client *c, const struct op *op, const char *s, size_t len, uint64_t now)
{
    char expect[32] = "+OK\r\n";
    long n = 0;
    size_t used;

    if (op->command == INCR)
        snprintf(expect, sizeof(expect), ":%llu\r\n", (unsigned long long)op->version);
    else if (op->command == DEL)
        snprintf(expect, sizeof(expect), ":%d\r\n", !history_is_deletion(op->key, op->version - 1));
    if (op->command == DEL && op->key->kind == BRIEF) { /* it may have expired before */
        used = header(c, s, len, ':', &n);
        if (used && n != 0 && n != 1)
            fail(c, "WRONG REPLY: DEL of one key says %ld", n);
    } else {
        used = take_line(c, expect, s, len);
    }
    if (used) {
        totals.writes++;
        history_acked(op->key, op->version, now);
    }
    return used;
}

static size_t take_reply(const struct client *c, const struct op *op, const char *s, size_t len, uint64_t now)
{
    switch (op->command) {
    case GET:
        return take_value(c, &op->reads[0], s, len, now);
    case MGET:
        return take_values(c, op, s, len, now);
    case PING:
        return take_line(c, "+PONG\r\n", s, len);
    default:
        return take_written(c, op, s, len, now);
    }
}

static void take_replies(struct client *c, uint64_t now)
{
    size_t at = 0;

    while (at < c->in_len) {
        size_t used;

        if (c->op_first == c->op_unsent)
            fail(c, "MALFORMED: %zu bytes that nobody asked for: %.*s", c->in_len - at,
                 (int)(c->in_len - at < 60 ? c->in_len - at : 60), c->in + at);
        used = take_reply(c, client_op(c, c->op_first), c->in + at, c->in_len - at, now);
        if (!used)
            break;
        at += used;
        c->op_first++;
        totals.ops++;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void end_of_stream(struct client *c, uint64_t now)
{
    if (c->state != HALF_CLOSED)
        fail(c, "closed by the server, %u replies missing", client_pending(c));
    if (client_pending(c) || c->in_len)
        fail(c, "closed by the server after our FIN, %u replies missing", client_pending(c));
    forget(c, now);
}

void client_read(struct client *c, uint64_t now)
{
    ssize_t n;

    grow(&c->in, &c->in_size, c->in_len + 65536);
    n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        fail(c, "recv: %s, %u replies missing", strerror(errno), client_pending(c));
    progress(c, now);
    if (n == 0) {
        end_of_stream(c, now);
        return;
    }
    totals.in_bytes += (uint64_t)n;
    c->in_total += (uint64_t)n;
    c->in_len += (size_t)n;
    take_replies(c, now);
}
