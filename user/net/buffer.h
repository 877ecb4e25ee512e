/* Buffers of a worker's connections: a pool of recycled memory, and the input a connection keeps between reads.
 *
 * A connection has memory only while it needs some: input lies in a wc_inbuf only when a request was received in
 * part, and output only until the kernel has taken it. The pool is last-in first-out, so that the busy worker keeps
 * using the same, cached memory for one connection after the other.
 */
#ifndef WC_NET_BUFFER_H
#define WC_NET_BUFFER_H

#include <stddef.h>

#define WC_BUF_CHUNK (16 * 1024)  /* a fresh buffer */
#define WC_BUF_KEEP  (128 * 1024) /* what grew beyond this is given back to the allocator */
#define WC_POOL_MAX  32           /* buffers kept */

struct wc_bufpool {
    int count;
    struct wc_mem {
        char *data;
        size_t cap;
    } free[WC_POOL_MAX];
};

/* data is NULL when out of memory. */
struct wc_mem wc_pool_get(struct wc_bufpool *pool);
void wc_pool_put(struct wc_bufpool *pool, char *data, size_t cap);
void wc_pool_clear(struct wc_bufpool *pool);

/* data[off..len) is input not consumed yet; all zero when there is none. */
struct wc_inbuf {
    char *data;
    size_t off, len, cap;
};

static inline size_t wc_inbuf_used(const struct wc_inbuf *b)
{
    return b->len - b->off;
}

/* Make room for at least `room` bytes behind the input, which may move. `want`: the total the buffer will be needed
 * for, if known (0: not), so that it is not grown beyond. 0 or -ENOMEM. */
int wc_inbuf_reserve(struct wc_inbuf *b, struct wc_bufpool *pool, size_t room, size_t want);
/* 0 or -ENOMEM. */
int wc_inbuf_append(struct wc_inbuf *b, struct wc_bufpool *pool, const char *data, size_t n);
/* Drop n bytes from the front; gives memory back that is not needed any more. */
void wc_inbuf_consume(struct wc_inbuf *b, struct wc_bufpool *pool, size_t n);
void wc_inbuf_release(struct wc_inbuf *b, struct wc_bufpool *pool);

#endif
