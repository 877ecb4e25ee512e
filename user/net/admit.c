#include "net/admit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/conn.h"
#include "net/listen.h"
#include "net/worker.h"

static const char too_many[] = "-ERR max number of clients reached\r\n";

/* Redis's own words: client libraries and people search for them. */
static const char denied[] =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    "from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode "
    "sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the "
    "same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. "
    "Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by "
    "editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the "
    "server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' "
    "option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above "
    "things in order for the server to start accepting connections from the outside.\r\n";

union addr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static bool is_loopback(const union addr *a)
{
    if (a->any.sa_family == AF_INET)
        return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
    const struct in6_addr *ip = &a->in6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
}

/* ip:port or [ip6]:port */
static void print_addr(const union addr *a, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "?";

    if (a->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
        snprintf(out, size, "[%s]:%d", ip, ntohs(a->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
        snprintf(out, size, "%s:%d", ip, ntohs(a->in.sin_port));
    }
}

static const char *refusal(const struct wc_server *s, bool local)
{
    /* Other workers may admit one at the same time: the limit can be overrun by as many as there are workers. */
    if (atomic_load(&s->connected_clients) >= s->config.maxclients)
        return too_many;
    if (!local && s->config.protected_mode && s->config.requirepass[0] == '\0')
        return denied;
    return NULL;
}

void wc_admit(struct wc_worker *w, int fd, bool tcp)
{
    const struct wc_server *s = w->server;
    char addr[64], laddr[64];
    bool local = true;

    if (tcp) {
        union addr peer, own;
        socklen_t peer_len = sizeof(peer), own_len = sizeof(own);
        memset(&peer, 0, sizeof(peer));
        memset(&own, 0, sizeof(own));
        getpeername(fd, &peer.any, &peer_len);
        getsockname(fd, &own.any, &own_len);
        print_addr(&peer, addr, sizeof(addr));
        print_addr(&own, laddr, sizeof(laddr));
        local = is_loopback(&peer);
        if (s->config.tcp_keepalive != w->keepalive)
            wc_socket_keepalive(fd, s->config.tcp_keepalive);
    } else {
        /* A longer path is cut, as the field is. */
        snprintf(addr, sizeof(addr), "%.61s:0", s->config.unixsocket);
        snprintf(laddr, sizeof(laddr), "%s", addr);
    }
    const char *why = refusal(s, local);
    if (why)
        wc_stat_add(&w->stats.rejected_connections, 1);
    wc_netconn_open(w, fd, tcp, addr, laddr, why);
}
