/* From a request to the reply's bytes: match, look the key up, copy the value. */
#ifndef WC_HOT_H
#define WC_HOT_H

#include "csum.h"

#define WC_COPY_TRIES 3

/* "$-1\r\n", right-aligned in the 8 bytes before a value, as the slot's head is. */
#define WC_NULL_HEAD     "\0\0\0$-1\r\n"
#define WC_NULL_HEAD_LEN 5

WC_INLINE bool wc_slot_holds(const struct wc_slot *slot, const struct wc_hot_key *key)
{
    const __u32 *a = (const void *)slot->key, *b = (const void *)key->bytes;

    if (slot->key_len != key->len)
        return false;
    for (__u32 i = 0; i < WC_KEY_MAX / 4; i++) {
        if (i * 4 >= key->len)
            break;
        if (a[i] != b[i])
            return false;
    }
    return true;
}

/* One attempt to copy the slot's reply to s->reply. Returns a counter: WC_CTR_HITS when the copy is whole.
 * The loads of `version` pair with wc_slot_begin() and wc_slot_end() in user/fastpath/mirror.c; x86 does not reorder
 * loads, so keeping the compiler from it is enough (arm64 would need a load barrier here). */
static __noinline int wc_hot_copy(struct wc_scratch *s, struct wc_slot *slot, __u64 now)
{
    __u32 version, len, head_len;

    if (!s || !slot)
        return WC_CTR_PASS_EMPTY;
    version = *(volatile __u32 *)&slot->version;
    barrier();
    if (version & 1)
        return WC_CTR_PASS_BUSY;
    if (!wc_slot_holds(slot, &s->key))
        return WC_CTR_PASS_EMPTY;
    if (slot->expires_ns && slot->expires_ns <= now)
        return WC_CTR_PASS_EXPIRED;
    len = *(volatile __u32 *)&slot->value_len;
    head_len = *(volatile __u32 *)&slot->head_len;
    s->reply.sum = slot->reply_sum;
    s->reply.null = len == WC_VALUE_NULL;
    *(__u64 *)s->reply.bytes = *(const __u64 *)slot->head;
    s->reply.start = WC_HEAD_MAX - (head_len & (WC_HEAD_MAX - 1));
    if (len == WC_VALUE_NULL) {
        s->reply.len = head_len;
    } else {
        if (len > WC_VALUE_MAX)
            return WC_CTR_PASS_BUSY;
        barrier_var(len);
        /* clang 14 loses the bound above when it keeps `len` in two registers */
        if (len > 0 && len <= WC_VALUE_MAX)
            bpf_probe_read_kernel(s->reply.bytes + WC_HEAD_MAX, len, slot->value);
        if (len <= WC_VALUE_MAX) {
            s->reply.bytes[WC_HEAD_MAX + len] = '\r';
            s->reply.bytes[WC_HEAD_MAX + len + 1] = '\n';
        }
        s->reply.len = head_len + len + 2;
    }
    barrier();
    if (*(volatile __u32 *)&slot->version != version)
        return WC_CTR_PASS_BUSY;
    return WC_CTR_HITS;
}

/* The request in s->request is a GET of a hot key: its reply goes to s->reply, its slot to *slot_out.
 * Returns WC_CTR_HITS, or the counter that says why not. */
WC_INLINE int wc_hot_find(struct wc_scratch *s, __u32 key_len, __u32 key_at, __u64 now, struct wc_slot **slot_out)
{
    struct wc_slot *slot;
    __u32 *number;
    int rc = WC_CTR_PASS_BUSY;

    __builtin_memset(&s->key, 0, sizeof(s->key));
    if (key_at > 32)
        return WC_CTR_PASS_NOT_GET;
    barrier_var(key_len);
    if (key_len - 1 >= WC_KEY_MAX)
        return WC_CTR_PASS_NOT_GET;
    bpf_probe_read_kernel(s->key.bytes, key_len, s->request + key_at);
    s->key.len = key_len;
    number = bpf_map_lookup_elem(&hot_keys, &s->key);
    if (!number)
        return WC_CTR_PASS_NOT_HOT;
    slot = bpf_map_lookup_elem(&hot_values, number);
    if (!slot)
        return WC_CTR_PASS_EMPTY;
    for (int i = 0; i < WC_COPY_TRIES && rc == WC_CTR_PASS_BUSY; i++)
        rc = wc_hot_copy(s, slot, now);
    *slot_out = slot;
    return rc;
}

#endif
