/* TCP options other than a lone timestamp: finding the timestamp, and SACK blocks, which name sequence numbers and so
 * are translated (RFC 2018 section 3).
 */
#ifndef WC_OPTIONS_H
#define WC_OPTIONS_H

#include "packet.h"

#define WC_OPT_EOL  0
#define WC_OPT_NOP  1
#define WC_OPT_SACK 5
#define WC_OPT_TS   8

struct wc_options {
    __u8 bytes[WC_TCP_OPT_MAX + 8]; /* 8 more, so that a timestamp can be read at any offset below 40 */
    __u32 len;
    __u32 at;      /* next option */
    __u32 sack_at; /* offset of the first block */
    __u32 sack_blocks;
    __u32 ts_at; /* offset of TSval, 0: no timestamp */
};

/* One option. A callback for bpf_loop(), which the verifier walks once instead of once per round. */
static long wc_read_option(__u32 round, struct wc_options *o)
{
    __u32 at = o->at, kind, size;

    (void)round;
    if (at >= WC_TCP_OPT_MAX || at >= o->len)
        return 1;
    kind = o->bytes[at];
    size = o->bytes[at + 1];
    if (kind == WC_OPT_EOL)
        return 1;
    if (kind == WC_OPT_NOP) {
        o->at = at + 1;
        return 0;
    }
    if (size < 2 || at + size > o->len)
        return 1;
    if (kind == WC_OPT_TS && size == 10)
        o->ts_at = at + 2;
    if (kind == WC_OPT_SACK && size >= 10 && (size - 2) % 8 == 0) {
        o->sack_at = at + 2;
        o->sack_blocks = (size - 2) / 8;
    }
    o->at = at + size;
    return 0;
}

/* Read p's options. Malformed options end the search, as in the stack (tcp_parse_options()). */
static __noinline int wc_read_options(struct __sk_buff *skb, struct wc_packet *p, struct wc_options *o)
{
    __u32 len = p->opt_len, at;

    __builtin_memset(o, 0, sizeof(*o));
    barrier_var(len);
    if (len - 1 >= WC_TCP_OPT_MAX)
        return 0;
    if (bpf_skb_load_bytes(skb, p->l4 + sizeof(struct tcphdr), o->bytes, len))
        return 0;
    o->len = len;
    bpf_loop(WC_TCP_OPT_MAX, wc_read_option, o, 0);
    at = o->ts_at;
    if (at && at < WC_TCP_OPT_MAX) {
        p->seg.tsval = o->bytes[at] << 24 | o->bytes[at + 1] << 16 | o->bytes[at + 2] << 8 | o->bytes[at + 3];
        p->tsval_raw = bpf_htonl(p->seg.tsval);
        p->seg.ts = 1;
    }
    return 0;
}

/* Translate the blocks in place. from_client: they name the stack's bytes. */
static __noinline int wc_rewrite_sack(struct __sk_buff *skb, struct wc_packet *p, struct wc_options *o,
                                      struct wc_xlat *x, bool from_client)
{
    for (__u32 i = 0; i < WC_SACK_MAX; i++) {
        __u32 at = o->sack_at + i * 8, off = p->l4 + sizeof(struct tcphdr) + at;
        __u32 old[2], new[2], diff;

        if (i >= o->sack_blocks || at > WC_TCP_OPT_MAX - 8)
            break;
        if (bpf_skb_load_bytes(skb, off, old, sizeof(old)))
            break;
        for (int e = 0; e < 2; e++) {
            __u32 edge = bpf_ntohl(old[e]);

            new[e] = bpf_htonl(from_client ? wc_ack_to_kernel(x, edge) : wc_ack_to_client(x, edge, false));
        }
        diff = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);
        if (at & 1) /* there the bytes of the checksum's 16-bit words are swapped, RFC 1071 section 2(B) */
            diff = diff << 8 | diff >> 24;
        bpf_l4_csum_replace(skb, p->l4 + offsetof(struct tcphdr, check), 0, diff, 0);
        bpf_skb_store_bytes(skb, off, new, sizeof(new), 0);
    }
    return 0;
}

#endif
