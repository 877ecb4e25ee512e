#include "net/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct wc_mem wc_pool_get(struct wc_bufpool *pool)
{
    if (pool->count > 0)
        return pool->free[--pool->count];
    struct wc_mem m = {.data = malloc(WC_BUF_CHUNK), .cap = WC_BUF_CHUNK};
    return m;
}

void wc_pool_put(struct wc_bufpool *pool, char *data, size_t cap)
{
    if (!data)
        return;
    if (cap < WC_BUF_CHUNK || cap > WC_BUF_KEEP || pool->count == WC_POOL_MAX) {
        free(data);
        return;
    }
    pool->free[pool->count++] = (struct wc_mem){.data = data, .cap = cap};
}

void wc_pool_clear(struct wc_bufpool *pool)
{
    while (pool->count > 0)
        free(pool->free[--pool->count].data);
}

static void compact(struct wc_inbuf *b)
{
    memmove(b->data, b->data + b->off, b->len - b->off);
    b->len -= b->off;
    b->off = 0;
}

int wc_inbuf_reserve(struct wc_inbuf *b, struct wc_bufpool *pool, size_t room, size_t want)
{
    if (!b->data) {
        struct wc_mem m = wc_pool_get(pool);
        if (!m.data)
            return -ENOMEM;
        *b = (struct wc_inbuf){.data = m.data, .cap = m.cap};
    }
    if (b->cap - b->len >= room)
        return 0;
    compact(b);
    size_t need = b->len + room;
    if (b->cap >= need)
        return 0;

    /* Doubling keeps the copies linear whatever the size of the steps. */
    size_t cap = b->cap * 2;
    if (want >= need && cap > want)
        cap = want;
    if (cap < need)
        cap = need;
    char *data = realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int wc_inbuf_append(struct wc_inbuf *b, struct wc_bufpool *pool, const char *data, size_t n)
{
    int err = wc_inbuf_reserve(b, pool, n, 0);
    if (err)
        return err;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return 0;
}

void wc_inbuf_consume(struct wc_inbuf *b, struct wc_bufpool *pool, size_t n)
{
    b->off += n;
    if (b->off == b->len) {
        wc_inbuf_release(b, pool);
        return;
    }
    /* The start of the next request need not hold the memory of a huge one. */
    size_t left = wc_inbuf_used(b);
    if (b->cap > WC_BUF_KEEP && left <= WC_BUF_CHUNK) {
        struct wc_mem m = wc_pool_get(pool);
        if (!m.data)
            return;
        memcpy(m.data, b->data + b->off, left);
        free(b->data);
        *b = (struct wc_inbuf){.data = m.data, .len = left, .cap = m.cap};
    }
}

void wc_inbuf_release(struct wc_inbuf *b, struct wc_bufpool *pool)
{
    wc_pool_put(pool, b->data, b->cap);
    *b = (struct wc_inbuf){0};
}
