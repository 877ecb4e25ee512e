/* One connection of the oracle: what it has asked for, what is on its way, and the socket. */
#ifndef TCP_CLIENT_H
#define TCP_CLIENT_H

#include "history.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define OPS_MAX  256 /* unanswered commands of a connection */
#define MGET_MAX 6
#define CUTS_MAX 6

enum command { GET, SET, DEL, INCR, MGET, PING };

struct op {
    enum command command;
    unsigned n; /* reads */
    struct read reads[MGET_MAX];
    struct history *key; /* of a write */
    uint64_t version;    /* that it makes */
    uint64_t end;        /* its last byte's offset in the stream, plus one */
};

enum state {
    CLOSED,
    CONNECTING,
    UP,
    HALF_CLOSED, /* our FIN is out, replies and the server's FIN are to come */
};

/* What comes after the last byte of what is composed. */
enum ending { GO_ON, FIN, CLOSE, RESET };

struct client {
    unsigned id;
    int fd;
    enum state state;
    enum ending ending;
    uint64_t rng;
    uint32_t events; /* that epoll watches for */

    struct op ops[OPS_MAX]; /* rings: op n is ops[n % OPS_MAX] */
    unsigned op_first, op_unsent, op_next;

    char *out;
    size_t out_size;
    uint64_t out_base, out_sent, out_end; /* offsets in the stream; out[0] is at out_base */
    uint64_t cuts[CUTS_MAX];              /* where a write ends, ascending */
    unsigned ncuts;

    char *in;
    size_t in_size, in_len;
    uint64_t in_total;

    uint64_t write_after, read_after, step_after; /* pauses */
    uint64_t progress;                            /* when something happened last */
    unsigned burst;                               /* GETs to come, one by one */
    bool filled;                                  /* it has written its keys once */
    bool idled;                                   /* it has been idle for longer than keepalive allows */
    bool overlap;                                 /* the next step does not wait for replies */
    bool await;                                   /* the next write does: half a command is out */
};

struct totals {
    uint64_t ops, reads, absent, writes, in_bytes, out_bytes, connects, resets, fins;
    uint64_t longest_ns; /* without progress, while waiting */
};

/* main's */
extern struct totals totals;
extern struct sockaddr_storage server;
extern socklen_t server_len;
/* Report and end the program. */
void fail(const struct client *c, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* The connection is gone with these unanswered: give up the keys that they write. */
void keys_give_up(struct client *c);

static inline unsigned client_pending(const struct client *c)
{
    return c->op_next - c->op_first;
}

/* There is something to wait for. */
static inline bool client_busy(const struct client *c)
{
    return c->state == CONNECTING || c->state == HALF_CLOSED || client_pending(c) || c->out_sent < c->out_end;
}

static inline bool client_may_write(const struct client *c, uint64_t now)
{
    return now >= c->write_after && (!c->await || c->op_first == c->op_unsent);
}

static inline struct op *client_op(struct client *c, unsigned n)
{
    return &c->ops[n % OPS_MAX];
}

void client_connect(struct client *c, uint64_t now);
/* Append a command's words; the next op that is begun after it covers its bytes. */
void client_words(struct client *c, unsigned n, const char *const *words, const size_t *lens);
struct op *client_begin(struct client *c, enum command command);
/* The socket is ready, or a pause is over. */
void client_write(struct client *c, uint64_t now);
void client_read(struct client *c, uint64_t now);

#endif
