/* The event loop under a worker: what a connection asks of the kernel, and what it is told.
 *
 * The shape is "submit, later be told", so that a completion-based backend (io_uring) and a readiness-based one
 * (epoll) look the same to conn.c. One loop belongs to one thread; only wc_loop_wake() may be called from another.
 *
 *     while (running) {
 *         wc_loop_wait(loop);      blocks until something happened
 *         now = ...;               the time, once per turn
 *         wc_loop_dispatch(loop);  calls handlers
 *     }
 */
#ifndef WC_NET_LOOP_H
#define WC_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

struct wc_io;
struct wc_loop;

struct wc_io_handler {
    /* Where to receive next. NULL: the loop uses memory of its own, which is the handler's only during received().
     * A connection that holds no half request thus holds no buffer. May be called more than once before received(). */
    char *(*recv_buffer)(struct wc_io *io, size_t *cap);
    /* n > 0: bytes at data; 0: the peer has closed its side; < 0: -errno. After n <= 0 nothing more is received. */
    void (*received)(struct wc_io *io, char *data, ssize_t n);
    /* n > 0: that many more bytes of the send under way are with the kernel; < 0: -errno, the send is over. */
    void (*sent)(struct wc_io *io, ssize_t n);
    /* A listening socket: a new connection, non-blocking and close-on-exec, or -errno (out of descriptors). */
    void (*accepted)(struct wc_io *io, int fd);
    /* After wc_loop_close(): nobody refers to io or its buffers any more, free them. */
    void (*closed)(struct wc_io *io);
};

/* One file descriptor in the loop; embedded in its owner. Set fd and handler, zero the rest. */
struct wc_io {
    int fd;
    uint32_t flags; /* the rest is the backend's */
    const struct wc_io_handler *handler;
    const char *send_buf;
    size_t send_len;
    struct wc_io *prev, *next;
};

struct wc_loop_ops {
    const char *name;
    void (*free)(struct wc_loop *loop);
    void (*wait)(struct wc_loop *loop);
    void (*dispatch)(struct wc_loop *loop);
    void (*wake)(struct wc_loop *loop);
    int (*listen)(struct wc_loop *loop, struct wc_io *io);
    int (*start)(struct wc_loop *loop, struct wc_io *io);
    void (*pause)(struct wc_loop *loop, struct wc_io *io);
    void (*resume)(struct wc_loop *loop, struct wc_io *io);
    ssize_t (*send)(struct wc_loop *loop, struct wc_io *io, const char *buf, size_t len);
    void (*close)(struct wc_loop *loop, struct wc_io *io);
};

struct wc_loop {
    const struct wc_loop_ops *ops;
    bool woken;  /* wc_loop_wake() was seen in this turn; the owner clears it */
    bool parked; /* a listening socket waits for a free descriptor: wake the loop now and then */
};

/* Is this backend built in and in this kernel? */
bool wc_loop_available(enum wc_io_backend backend);
/* 0 or -errno. WC_IO_AUTO picks what was measured to be best. */
int wc_loop_new(struct wc_loop **out, enum wc_io_backend backend);
int wc_loop_new_epoll(struct wc_loop **out);

/* All io must have been closed. Calls closed() where it is still due. */
static inline void wc_loop_free(struct wc_loop *loop)
{
    loop->ops->free(loop);
}

static inline void wc_loop_wait(struct wc_loop *loop)
{
    loop->ops->wait(loop);
}

static inline void wc_loop_dispatch(struct wc_loop *loop)
{
    loop->ops->dispatch(loop);
}

/* Make wait() return, with woken set. Any thread. */
static inline void wc_loop_wake(struct wc_loop *loop)
{
    loop->ops->wake(loop);
}

/* Start accepting. 0 or -errno. */
static inline int wc_loop_listen(struct wc_loop *loop, struct wc_io *io)
{
    return loop->ops->listen(loop, io);
}

/* Start receiving. 0 or -errno. */
static inline int wc_loop_start(struct wc_loop *loop, struct wc_io *io)
{
    return loop->ops->start(loop, io);
}

/* Receive nothing until resumed; an error of the connection is reported all the same. What had been received before
 * may still be delivered by a completion-based backend. */
static inline void wc_loop_pause(struct wc_loop *loop, struct wc_io *io)
{
    loop->ops->pause(loop, io);
}

/* Does not call a handler itself. */
static inline void wc_loop_resume(struct wc_loop *loop, struct wc_io *io)
{
    loop->ops->resume(loop, io);
}

/* Send; one send at a time per io. Returns the bytes the kernel has taken already: when that is all of them the send
 * is over and sent() is not called. Otherwise buf must stay as it is until sent() has reported the rest.
 * -errno: the connection is broken. */
static inline ssize_t wc_loop_send(struct wc_loop *loop, struct wc_io *io, const char *buf, size_t len)
{
    return loop->ops->send(loop, io, buf, len);
}

/* Close the descriptor. No handler is called any more but closed(), later. */
static inline void wc_loop_close(struct wc_loop *loop, struct wc_io *io)
{
    loop->ops->close(loop, io);
}

#endif
