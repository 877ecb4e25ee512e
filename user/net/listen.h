/* Listening sockets: the addresses of `bind`, the unix socket, and the check that nobody else has the port.
 *
 * Every worker has a socket of its own per address (SO_REUSEPORT). That option would also let two servers of one user
 * share a port without a word, so the port is bound once without it first, and an abstract unix socket named after
 * the port is held as a lock between wirecaches (it is per network namespace, like the port).
 */
#ifndef WC_NET_LISTEN_H
#define WC_NET_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "config.h"

#define WC_LISTEN_MAX WC_CONFIG_MAX_BINDS

struct wc_listen_addr {
    struct sockaddr_storage sa;
    socklen_t len;
    bool optional;
    char text[64]; /* as configured */
};

struct wc_listen_plan {
    int naddrs;
    struct wc_listen_addr addrs[WC_LISTEN_MAX];
    int port, backlog, keepalive;
    int lock_fd; /* -1: no TCP port */
    int unix_fd; /* -1: no unix socket */
    char unix_path[WC_CONFIG_STR];
};

/* Resolve the addresses, take the lock, try every port. Optional addresses that this host does not have are left out.
 * 0, or -errno with one line in err and nothing held. */
int wc_listen_prepare(struct wc_listen_plan *plan, const struct wc_config *cfg, char *err, size_t errlen);
/* A listening socket for one worker. Returns it, or -errno with one line in err. */
int wc_listen_tcp(const struct wc_listen_plan *plan, int addr, char *err, size_t errlen);
/* Open plan->unix_fd, shared by all workers; does nothing when none is configured. 0, or -errno with a line in err. */
int wc_listen_unix(struct wc_listen_plan *plan, char *err, size_t errlen);
/* Release the lock and the unix socket. */
void wc_listen_release(struct wc_listen_plan *plan);

/* tcp-keepalive of a socket; a connection inherits it from the socket that accepted it. */
void wc_socket_keepalive(int fd, int seconds);

#endif
