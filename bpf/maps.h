/* The maps (include/wc_abi.h says what is in them), the options fixed at load time, and the counters. */
#ifndef WC_MAPS_H
#define WC_MAPS_H

#include "wc_types.h"
#include <bpf/bpf_helpers.h>

#include "wc_abi.h"
#include "wc_counters.h"
#include "wc_match.h"

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif

/* max_entries of the sized maps are set by userspace before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, struct wc_hot_key);
    __type(value, __u32);
} hot_keys SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wc_slot);
} hot_values SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, struct wc_conn_key);
    __type(value, struct wc_conn);
} conns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wc_conn_ctl);
} conn_ctl SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wc_saved);
} replies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 1);
    __uint(key_size, 0);
    __uint(value_size, sizeof(__u32));
} free_conns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WC_CTR_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

/* Working memory of one packet, too big for the stack. A hook runs to its end before it runs again on the same CPU,
 * but TC ingress can call TC egress (bpf_clone_redirect), so each has its own. */
struct wc_scratch {
    __u8 request[WC_REQUEST_BUF];
    __u8 headers[96];  /* Ethernet, IP, TCP as they go out; see reply.h */
    __u8 original[96]; /* the same as they came in */
    struct wc_hot_key key;
    struct wc_saved reply;
};

enum wc_hook { WC_HOOK_XDP, WC_HOOK_TC_IN, WC_HOOK_COUNT };

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WC_HOOK_COUNT);
    __type(key, __u32);
    __type(value, struct wc_scratch);
} scratch SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wc_control);
} control SEC(".maps");

const volatile struct wc_rodata wc_cfg = {};

/* May anything be answered at all? */
WC_INLINE bool wc_answering(void)
{
    __u32 zero = 0;
    struct wc_control *ctl = bpf_map_lookup_elem(&control, &zero);

    /* `changing` is read before any slot; pairs with wc_mirror_many() */
    return ctl && *(volatile __u32 *)&ctl->answering && !*(volatile __u32 *)&ctl->changing;
}

WC_INLINE void wc_count_n(__u32 which, __u64 n)
{
    __u64 *c = bpf_map_lookup_elem(&counters, &which);

    if (c)
        *c += n;
}

WC_INLINE void wc_count(__u32 which)
{
    wc_count_n(which, 1);
}

#endif
