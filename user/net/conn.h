/* A client's connection: receive, parse as far as it goes, execute, one send for the whole batch.
 *
 *     OPEN ──(QUIT, protocol error, refused)──▶ FLUSHING ──(all sent)──▶ LINGERING ──▶ CLOSED
 *       └──────────────(peer gone, killed, idle, input too large)────────────────────────┘
 *
 * FLUSHING executes nothing any more. LINGERING has told the peer the end (FIN) and throws away what still comes, so
 * that the last reply is not lost to a reset.
 *
 * What the kernel half relies on: `consumed` counts the bytes of executed requests, `produced` the bytes of replies
 * made, both since accept and modulo 2^32; they are reported after a batch and before its replies are sent.
 */
#ifndef WC_NET_CONN_H
#define WC_NET_CONN_H

#include "net/buffer.h"
#include "net/loop.h"
#include "server.h"

struct wc_worker;

enum wc_netconn_state { WC_NETCONN_OPEN, WC_NETCONN_FLUSHING, WC_NETCONN_LINGERING, WC_NETCONN_CLOSED };

struct wc_netconn {
    struct wc_io io;
    struct wc_worker *worker;
    enum wc_netconn_state state;
    _Atomic bool counted; /* in connected_clients; not when refused or closing */
    bool paused;          /* too many replies wait: nothing is received or executed until they are sent */
    bool peer_eof;        /* the peer sends nothing more */
    uint32_t consumed, produced;
    struct wc_inbuf in;  /* a request in part, or requests that wait while paused */
    struct wc_reply out; /* replies not given to the loop yet */
    struct wc_sending {  /* replies the loop is sending: data[sent..len) */
        char *data;
        size_t len, sent, cap;
    } sending;
    struct wc_parser parser;
    int64_t deadline_ms; /* of LINGERING */
    size_t drained;      /* bytes thrown away while LINGERING */
    struct wc_netconn *prev, *next;
    struct wc_client client;
};

/* Take over an accepted socket. refusal: NULL, or the error line it is turned away with. Closes fd on failure. */
void wc_netconn_open(struct wc_worker *w, int fd, bool tcp, const char *addr, const char *laddr, const char *refusal);
/* Close at once, whatever was pending. */
void wc_netconn_close(struct wc_netconn *c);
/* Close every connection that is killed, has been idle for longer than `timeout`, or has lingered long enough. */
void wc_netconns_check(struct wc_worker *w);

#endif
