/* Clients that know what every reply may be.
 *
 *   oracle HOST PORT SECONDS SEED CONNECTIONS STALL
 *
 * The connections run random scripts (script.c) on shared keys. Every reply is checked byte by byte: a read returns one
 * version of its key, not older than what was acknowledged, or seen by anybody, before its request was sent, and not
 * newer than what was sent before its reply arrived (history.h). After SECONDS nothing new is asked for. A connection
 * that waits and on which nothing happens for STALL seconds is stuck.
 *
 * The first failure ends the run with exit 1: it is printed, and the connections stay open until a line comes on
 * standard input (or for 20 seconds), so that their state can be looked at. Exit 2: bad usage.
 */
#include "client.h"
#include "rng.h"
#include "script.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct totals totals;
struct sockaddr_storage server;
socklen_t server_len;

static uint64_t began;

static void print_port(int fd)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof(local);
    char port[16] = "?";

    if (getsockname(fd, (struct sockaddr *)&local, &len) == 0)
        getnameinfo((struct sockaddr *)&local, len, NULL, 0, port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    printf("port=%s ", port);
}

static void print_op(const struct op *op, bool sent)
{
    static const char *const names[] = {"GET", "SET", "DEL", "INCR", "MGET", "PING"};
    const struct history *h = op->key ? op->key : op->reads[0].key;

    printf("  %s %.20s version %llu, ends at byte %llu%s\n", names[op->command], h ? h->name : "",
           (unsigned long long)op->version, (unsigned long long)op->end, sent ? "" : ", not sent");
}

void fail(const struct client *c, const char *fmt, ...)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    uint64_t now = now_ns();
    va_list args;

    printf("FAIL connection=%u ", c->id);
    print_port(c->fd);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n  at %.3f s, %.3f s after the last progress; state %d ending %d; written %llu of %llu bytes, read %llu, "
           "of which %zu not understood; the next reply is to:\n",
           (double)(now - began) / 1e9, (double)(now - c->progress) / 1e9, c->state, c->ending,
           (unsigned long long)c->out_sent, (unsigned long long)c->out_end, (unsigned long long)c->in_total, c->in_len);
    for (unsigned n = c->op_first; n != c->op_next && n - c->op_first < 8; n++)
        print_op(&c->ops[n % OPS_MAX], (int)(n - c->op_unsent) < 0);
    fflush(stdout);
    poll(&in, 1, 20000);
    _exit(1);
}

static __attribute__((noreturn)) void usage(const char *problem)
{
    fprintf(stderr, "oracle: %s\nusage: oracle HOST PORT SECONDS SEED CONNECTIONS STALL\n", problem);
    exit(2);
}

static void find_server(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *ai;

    if (getaddrinfo(host, port, &hints, &ai))
        usage("no such host or port");
    memcpy(&server, ai->ai_addr, ai->ai_addrlen);
    server_len = ai->ai_addrlen;
    freeaddrinfo(ai);
}

static bool may_step(const struct client *c, uint64_t now)
{
    return c->state == UP && c->ending == GO_ON && c->out_sent == c->out_end && now >= c->step_after &&
           (!client_pending(c) || (c->overlap && client_pending(c) < OPS_MAX / 3));
}

/* Everything that is due by time. False: nothing is left to do. */
static bool advance(struct client *c, uint64_t now, bool ending, uint64_t stall_ns)
{
    uint64_t since = c->progress;

    if (c->state == CLOSED && !ending && now >= c->step_after)
        client_connect(c, now);
    if (!ending && may_step(c, now))
        script_step(c, now);
    if (c->state == UP && (c->out_sent < c->out_end || c->ending != GO_ON) && client_may_write(c, now))
        client_write(c, now);
    if (!client_busy(c)) {
        c->progress = now;
        return !ending;
    }
    since = c->write_after > since ? c->write_after : since;
    since = c->read_after > since ? c->read_after : since;
    if (now > since && now - since > stall_ns)
        fail(c, "STUCK");
    return true;
}

static void watch(int epfd, struct client *c, uint64_t now)
{
    bool first = c->events == 0;
    struct epoll_event ev = {.data.ptr = c};

    if (c->state == CLOSED)
        return;
    if (c->state == CONNECTING || (c->out_sent < c->out_end && client_may_write(c, now)))
        ev.events |= EPOLLOUT;
    if (c->state != CONNECTING && now >= c->read_after)
        ev.events |= EPOLLIN;
    ev.events |= EPOLLRDHUP * !!(ev.events & EPOLLIN);
    if (!ev.events)
        ev.events = EPOLLPRI; /* nothing for now, but not "not registered" */
    if (ev.events == c->events)
        return;
    if (epoll_ctl(epfd, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &ev))
        fail(c, "epoll_ctl: %s", strerror(errno));
    c->events = ev.events;
}

static void sooner(uint64_t at, uint64_t now, uint64_t *next)
{
    if (at > now && at < *next)
        *next = at;
}

static void run(struct client *clients, unsigned n, uint64_t run_ns, uint64_t stall_ns)
{
    struct epoll_event events[64];
    int epfd = epoll_create1(EPOLL_CLOEXEC);

    for (;;) {
        uint64_t now = now_ns(), next = now + 100 * MSEC;
        bool ending = now - began > run_ns, left = false;
        int ready;

        for (unsigned i = 0; i < n; i++) {
            struct client *c = &clients[i];

            left |= advance(c, now, ending, stall_ns);
            watch(epfd, c, now);
            sooner(c->step_after, now, &next);
            sooner(c->write_after, now, &next);
            sooner(c->read_after, now, &next);
        }
        if (!left)
            return;
        ready = epoll_wait(epfd, events, 64, (int)((next - now) / MSEC));
        now = now_ns();
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;

            if (events[i].events & (EPOLLOUT | EPOLLERR) && c->state != CLOSED)
                client_write(c, now);
            if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && c->state != CLOSED)
                client_read(c, now);
        }
    }
}

int main(int argc, char **argv)
{
    unsigned n = argc == 7 ? (unsigned)atoi(argv[5]) : 0;
    uint64_t seed, seconds;
    struct client *clients;

    if (argc != 7)
        usage("six arguments");
    if (n < 1 || n > 10000)
        usage("1 to 10000 connections");
    find_server(argv[1], argv[2]);
    seconds = strtoull(argv[3], NULL, 10);
    seed = strtoull(argv[4], NULL, 0);
    clients = calloc(n, sizeof(*clients));
    if (!clients)
        abort();
    keys_make(seed, n);
    began = now_ns();
    for (unsigned i = 0; i < n; i++) {
        clients[i].id = i;
        clients[i].rng = rng_mix(seed + i);
        clients[i].step_after = began + i * MSEC;
        clients[i].progress = began;
    }
    run(clients, n, seconds * SEC, strtoull(argv[6], NULL, 10) * SEC);
    printf("seconds=%.2f ops=%llu reads=%llu absent=%llu writes=%llu in_bytes=%llu out_bytes=%llu connects=%llu "
           "fins=%llu resets=%llu longest_ms=%llu\n",
           (double)(now_ns() - began) / 1e9, (unsigned long long)totals.ops, (unsigned long long)totals.reads,
           (unsigned long long)totals.absent, (unsigned long long)totals.writes, (unsigned long long)totals.in_bytes,
           (unsigned long long)totals.out_bytes, (unsigned long long)totals.connects, (unsigned long long)totals.fins,
           (unsigned long long)totals.resets, (unsigned long long)totals.longest_ns / MSEC);
    return 0;
}
