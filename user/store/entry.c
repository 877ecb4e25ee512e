/* Building and reshaping entries; entry.h has the layout. */
#include "store/entry.h"

#include <stdlib.h>

/* Beyond this, realloc() may grow in place; below, it would copy bytes that we move anyway. */
#define REALLOC_MIN 4096

void wc_entry_store_expire(struct wc_entry *e, int64_t expire_at_ms)
{
    memcpy(e->data, &expire_at_ms, sizeof(expire_at_ms));
}

int64_t wc_entry_expire(const struct wc_entry *e)
{
    int64_t at = WC_NO_EXPIRE;

    if (e->has_expire)
        memcpy(&at, e->data, sizeof(at));
    return at;
}

struct wc_value wc_entry_value(const struct wc_entry *e, char *scratch)
{
    (void)scratch; /* integers are text, see entry.h */
    return (struct wc_value){.ptr = wc_entry_value_bytes(e), .len = e->vlen};
}

void wc_entry_fill(struct wc_entry *e, const char *key, uint32_t klen, const char *value, uint32_t vlen,
                   int64_t expire_at_ms)
{
    e->vlen = vlen;
    e->klen = klen;
    e->has_expire = expire_at_ms != WC_NO_EXPIRE;
    if (e->has_expire)
        wc_entry_store_expire(e, expire_at_ms);
    memcpy((char *)wc_entry_key(e), key, klen);
    if (value)
        memcpy(wc_entry_value_bytes(e), value, vlen);
    else
        memset(wc_entry_value_bytes(e), 0, vlen);
}

struct wc_entry *wc_entry_new(const char *key, uint32_t klen, const char *value, uint32_t vlen, int64_t expire_at_ms)
{
    struct wc_entry *e = malloc(wc_entry_size(klen, vlen, expire_at_ms != WC_NO_EXPIRE));

    if (!e)
        return NULL;
    e->spare = 0;
    e->clock = 0;
    e->freq = 0;
    wc_entry_fill(e, key, klen, value, vlen, expire_at_ms);
    return e;
}

/* Move key and value when room for the expiry appears or goes. */
static void shift_data(struct wc_entry *e, uint32_t keep, bool has_expire)
{
    if (e->has_expire == has_expire)
        return;
    memmove(e->data + (has_expire ? 8 : 0), wc_entry_key(e), (size_t)e->klen + keep);
    e->has_expire = has_expire;
}

struct wc_entry *wc_entry_reshape(struct wc_entry *e, uint32_t vlen, bool has_expire)
{
    size_t size = wc_entry_size(e->klen, vlen, has_expire);
    uint32_t keep = vlen < e->vlen ? vlen : e->vlen;
    struct wc_entry *to = e;

    if (size == wc_entry_bytes(e)) {
        shift_data(e, keep, has_expire);
    } else if (e->has_expire == has_expire && size >= REALLOC_MIN) {
        to = realloc(e, size);
        if (!to)
            return NULL;
    } else {
        to = malloc(size);
        if (!to)
            return NULL;
        *to = *e;
        to->has_expire = has_expire;
        memcpy((char *)wc_entry_key(to), wc_entry_key(e), (size_t)e->klen + keep);
        if (has_expire && e->has_expire)
            wc_entry_store_expire(to, wc_entry_expire(e));
        free(e);
    }
    to->vlen = vlen;
    return to;
}
