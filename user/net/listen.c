#include "net/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

void wc_socket_keepalive(int fd, int seconds)
{
    int on = seconds > 0, interval = seconds / 3 > 0 ? seconds / 3 : 1, count = 3;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (!on)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static int tcp_error(char *err, size_t errlen, const struct wc_listen_addr *a, int port, const char *what, int code)
{
    snprintf(err, errlen, "Could not create server TCP listening socket %s:%d: %s: %s", a->text, port, what,
             strerror(code));
    return -code;
}

/* A bound socket; `share`: SO_REUSEPORT. */
static int bind_tcp(const struct wc_listen_addr *a, int port, bool share, char *err, size_t errlen)
{
    const int on = 1;
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return tcp_error(err, errlen, a, port, "socket", errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if ((share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
        bind(fd, (const struct sockaddr *)&a->sa, a->len)) {
        int code = errno;
        close(fd);
        return tcp_error(err, errlen, a, port, "bind", code);
    }
    return fd;
}

int wc_listen_tcp(const struct wc_listen_plan *plan, int addr, char *err, size_t errlen)
{
    const struct wc_listen_addr *a = &plan->addrs[addr];
    const int on = 1;
    int fd = bind_tcp(a, plan->port, true, err, errlen);

    if (fd < 0)
        return fd;
    /* What accepted sockets inherit, to save system calls on each. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    wc_socket_keepalive(fd, plan->keepalive);
    if (listen(fd, plan->backlog)) {
        int code = errno;
        close(fd);
        return tcp_error(err, errlen, a, plan->port, "listen", code);
    }
    return fd;
}

/* Is this what a host without the address or its protocol says? */
static bool host_lacks(int code, bool optional)
{
    switch (code) {
    case EADDRNOTAVAIL:
        return optional;
    case ENOPROTOOPT:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
    case EPFNOSUPPORT:
    case EAFNOSUPPORT:
        return true;
    default:
        return false;
    }
}

/* One word of `bind`. 0, 1: left out, or -errno. */
static int resolve(struct wc_listen_addr *a, const char *word, int port, char *err, size_t errlen)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *info;
    const char *host;
    char service[16];

    *a = (struct wc_listen_addr){.optional = word[0] == '-'};
    word += a->optional;
    snprintf(a->text, sizeof(a->text), "%s", word);
    host = strcmp(word, "*") == 0 ? "0.0.0.0" : strcmp(word, "::*") == 0 ? "::" : word;
    snprintf(service, sizeof(service), "%d", port);
    int code = getaddrinfo(host, service, &hints, &info);
    if (code) {
        if (a->optional)
            return 1;
        snprintf(err, errlen, "Could not create server TCP listening socket %s:%d: %s", a->text, port,
                 gai_strerror(code));
        return -EADDRNOTAVAIL;
    }
    memcpy(&a->sa, info->ai_addr, info->ai_addrlen);
    a->len = info->ai_addrlen;
    freeaddrinfo(info);
    return 0;
}

static int plan_addrs(struct wc_listen_plan *plan, const char *bind_words, char *err, size_t errlen)
{
    char words[WC_CONFIG_STR], *save = NULL;

    snprintf(words, sizeof(words), "%s", bind_words);
    for (char *word = strtok_r(words, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        if (plan->naddrs == WC_LISTEN_MAX) {
            snprintf(err, errlen, "Too many addresses in bind, the limit is %d", WC_LISTEN_MAX);
            return -E2BIG;
        }
        struct wc_listen_addr *a = &plan->addrs[plan->naddrs];
        int r = resolve(a, word, plan->port, err, errlen);
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        int fd = bind_tcp(a, plan->port, false, err, errlen);
        if (fd >= 0) {
            close(fd);
            plan->naddrs++;
        } else if (!host_lacks(-fd, a->optional)) {
            return fd;
        }
    }
    return 0;
}

/* The lock between wirecaches. Abstract, so it goes with the process and there is no file to clean up. */
static int take_lock(int port)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "wirecache/port/%d", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n))) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

int wc_listen_prepare(struct wc_listen_plan *plan, const struct wc_config *cfg, char *err, size_t errlen)
{
    *plan = (struct wc_listen_plan){
        .port = cfg->port, .backlog = cfg->tcp_backlog, .keepalive = cfg->tcp_keepalive, .lock_fd = -1, .unix_fd = -1};
    snprintf(plan->unix_path, sizeof(plan->unix_path), "%s", cfg->unixsocket);
    if (cfg->port == 0)
        return 0;
    int r = plan_addrs(plan, cfg->bind, err, errlen);
    if (r)
        return r;
    int lock = take_lock(cfg->port);
    if (lock < 0) {
        struct wc_listen_addr none = {.text = "*"};
        return tcp_error(err, errlen, plan->naddrs ? &plan->addrs[0] : &none, cfg->port, "bind", -lock);
    }
    plan->lock_fd = lock;
    return 0;
}

static int unix_error(char *err, size_t errlen, const char *what, int code)
{
    snprintf(err, errlen, "Failed opening Unix socket: %s: %s", what, strerror(code));
    return -code;
}

int wc_listen_unix(struct wc_listen_plan *plan, char *err, size_t errlen)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (!plan->unix_path[0])
        return 0;
    size_t len = strlen(plan->unix_path);
    if (len >= sizeof(sa.sun_path))
        return unix_error(err, errlen, "path", ENAMETOOLONG);
    memcpy(sa.sun_path, plan->unix_path, len);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return unix_error(err, errlen, "socket", errno);
    /* A left-over file of a dead server is replaced, a living server is not robbed. */
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN) {
        close(fd);
        return unix_error(err, errlen, "bind", EADDRINUSE);
    }
    unlink(plan->unix_path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, plan->backlog)) {
        int code = errno;
        close(fd);
        return unix_error(err, errlen, "bind", code);
    }
    plan->unix_fd = fd;
    return 0;
}

void wc_listen_release(struct wc_listen_plan *plan)
{
    if (plan->unix_fd >= 0) {
        unlink(plan->unix_path);
        close(plan->unix_fd);
    }
    if (plan->lock_fd >= 0)
        close(plan->lock_fd);
    plan->unix_fd = plan->lock_fd = -1;
}
