/* From a frame to `struct wc_packet`: one cursor, one function per header. The same code for XDP and TC.
 *
 * Only Ethernet (and lo, which has an Ethernet header) with IPv4 or IPv6 directly behind it is read; a VLAN tag inside
 * the frame makes it not ours.
 */
#ifndef WC_PACKET_H
#define WC_PACKET_H

#include <bpf/bpf_endian.h>

#include "maps.h"

#define WC_ETH_LEN   14
#define WC_ETH_IPV4  0x0800
#define WC_ETH_IPV6  0x86dd
#define WC_IP_MF     0x2000
#define WC_IP_OFFSET 0x1fff
#define WC_ECN_CE    3

#define WC_TCP_OPT_MAX 40
#define WC_OPT_TS_WORD 0x0101080a /* NOP NOP timestamp, length 10: RFC 7323 appendix A */
#define WC_SACK_MAX    4

enum {
    WC_EXT_HOPOPTS = 0,
    WC_EXT_ROUTING = 43,
    WC_EXT_FRAGMENT = 44,
    WC_EXT_DSTOPTS = 60,
    WC_EXT_MAX = 4, /* headers walked */
};

struct wc_packet {
    struct wc_conn_key key; /* as in conns: the client's and the server's address, whichever way the packet goes */
    struct wc_seg seg;
    __u32 l4;                   /* offset of the TCP header */
    __u32 tcp_len;              /* its length with options */
    __u32 ip_end;               /* offset behind the IP datagram: the frame may be padded */
    __u32 tsecr_raw, tsval_raw; /* timestamp option as on the wire */
    __u16 check;
    __u8 v6;
    __u8 ect_ce;   /* congestion experienced */
    __u8 reserved; /* reserved TCP flag bits, ECE, CWR or URG are set */
    __u8 odd;      /* IP options, extension headers or a fragment: translated, never answered */
    __u8 fragment; /* the first fragment: how many bytes follow is not known */
    __u8 opt_len;  /* TCP options that are not exactly none or a timestamp */
};

enum wc_parsed { WC_PARSED, WC_NOT_OURS, WC_SHORT };

WC_INLINE void wc_map_v4(__u32 *to, __u32 addr)
{
    to[0] = 0;
    to[1] = 0;
    to[2] = bpf_htonl(0xffff);
    to[3] = addr;
}

/* The IPv4 header at offset WC_ETH_LEN. */
WC_INLINE int wc_parse_ipv4(void *data, void *data_end, struct wc_packet *p, __u32 *src, __u32 *dst, __u32 gso_len)
{
    struct iphdr *ip = data + WC_ETH_LEN;
    __u32 ihl, total, frag;

    if ((void *)(ip + 1) > data_end)
        return WC_SHORT;
    if (ip->protocol != IPPROTO_TCP || ip->version != 4)
        return WC_NOT_OURS;
    ihl = ip->ihl * 4;
    total = bpf_ntohs(ip->tot_len);
    if (!total && gso_len)
        total = gso_len - WC_ETH_LEN;
    frag = bpf_ntohs(ip->frag_off);
    if (ihl < sizeof(*ip) || total < ihl + sizeof(struct tcphdr) || (frag & WC_IP_OFFSET))
        return WC_NOT_OURS;
    p->v6 = 0;
    p->fragment = !!(frag & WC_IP_MF);
    p->odd = ihl != sizeof(*ip) || p->fragment;
    p->ect_ce = (ip->tos & 3) == WC_ECN_CE;
    p->seg.hop_limit = ip->ttl;
    p->seg.flow = ip->tos;
    p->l4 = WC_ETH_LEN + ihl;
    p->ip_end = WC_ETH_LEN + total;
    wc_map_v4(src, ip->saddr);
    wc_map_v4(dst, ip->daddr);
    return WC_PARSED;
}

/* The IPv6 header at offset WC_ETH_LEN, and extension headers behind it. */
WC_INLINE int wc_parse_ipv6(void *data, void *data_end, struct wc_packet *p, __u32 *src, __u32 *dst, __u32 gso_len)
{
    struct ipv6hdr *ip = data + WC_ETH_LEN;
    __u32 next, off = WC_ETH_LEN + sizeof(*ip);

    if ((void *)(ip + 1) > data_end)
        return WC_SHORT;
    if (ip->version != 6)
        return WC_NOT_OURS;
    next = ip->nexthdr;
    p->v6 = 1;
    p->odd = next != IPPROTO_TCP;
    p->fragment = 0;
    for (int i = 0; i < WC_EXT_MAX && next != IPPROTO_TCP; i++) {
        __u8 *ext = data + off;

        if (next != WC_EXT_HOPOPTS && next != WC_EXT_ROUTING && next != WC_EXT_DSTOPTS && next != WC_EXT_FRAGMENT)
            return WC_NOT_OURS;
        if ((void *)(ext + 8) > data_end)
            return WC_SHORT;
        /* Only the first fragment has a TCP header. */
        if (next == WC_EXT_FRAGMENT && ((ext[2] << 8 | ext[3]) & 0xfff8))
            return WC_NOT_OURS;
        p->fragment |= next == WC_EXT_FRAGMENT;
        off += next == WC_EXT_FRAGMENT ? 8 : 8 * (ext[1] + 1);
        next = ext[0];
    }
    if (next != IPPROTO_TCP)
        return WC_NOT_OURS;
    p->ect_ce = ((ip->flow_lbl[0] >> 4) & 3) == WC_ECN_CE;
    p->seg.hop_limit = ip->hop_limit;
    p->seg.flow = *(__u32 *)ip & bpf_htonl(0x0fffffff);
    p->l4 = off;
    p->ip_end = !ip->payload_len && gso_len ? gso_len : WC_ETH_LEN + sizeof(*ip) + bpf_ntohs(ip->payload_len);
    for (int i = 0; i < 4; i++) {
        src[i] = ip->saddr.in6_u.u6_addr32[i];
        dst[i] = ip->daddr.in6_u.u6_addr32[i];
    }
    return WC_PARSED;
}

/* The TCP header at p->l4, up to a timestamp that stands alone. */
WC_INLINE int wc_parse_tcp(void *data, void *data_end, struct wc_packet *p, __u16 *sport, __u16 *dport)
{
    struct tcphdr *th;
    __u32 off = p->l4;
    __u8 *bytes;

    if (off > 1500) /* bounds the offset for the verifier */
        return WC_NOT_OURS;
    th = data + off;
    if ((void *)(th + 1) > data_end)
        return WC_SHORT;
    bytes = (void *)th;
    p->tcp_len = th->doff * 4;
    if (p->tcp_len < sizeof(*th) || p->l4 + p->tcp_len > p->ip_end)
        return WC_NOT_OURS;
    *sport = th->source;
    *dport = th->dest;
    p->check = th->check;
    p->seg.seq = bpf_ntohl(th->seq);
    p->seg.ack = bpf_ntohl(th->ack_seq);
    p->seg.window = bpf_ntohs(th->window);
    p->seg.flags = bytes[13] & 0x1f;
    p->reserved = (bytes[13] & 0xe0) | (bytes[12] & 0x0f);
    p->seg.len = p->ip_end - p->l4 - p->tcp_len;
    p->seg.ts = 0;
    p->seg.plain = 0;
    p->opt_len = 0;
    if (p->tcp_len == sizeof(*th)) {
        p->seg.plain = 1;
        return WC_PARSED;
    }
    if (p->tcp_len == sizeof(*th) + 12) {
        __u32 *opt = (void *)(th + 1);

        if ((void *)(opt + 3) > data_end)
            return WC_SHORT;
        if (opt[0] == bpf_htonl(WC_OPT_TS_WORD)) {
            p->tsval_raw = opt[1];
            p->tsecr_raw = opt[2];
            p->seg.tsval = bpf_ntohl(opt[1]);
            p->seg.ts = 1;
            p->seg.plain = 1;
            return WC_PARSED;
        }
    }
    p->opt_len = p->tcp_len - sizeof(*th);
    return WC_PARSED;
}

/* Is this frame TCP to (from_client) or from the server's port? WC_SHORT: the headers are not all in
 * [data, data_end); pull them in and try again. Options other than a lone timestamp are read by options.h.
 * gso_len: the frame's length if it stands for several segments, else 0. Beyond 64 KiB (BIG TCP: gso_max_size,
 * gro_max_size) IP's own length field is 0. */
WC_INLINE int wc_parse(void *data, void *data_end, struct wc_packet *p, bool from_client, __u32 gso_len)
{
    __u32 *src = from_client ? p->key.client : p->key.server;
    __u32 *dst = from_client ? p->key.server : p->key.client;
    __u16 *sport = from_client ? &p->key.client_port : &p->key.server_port;
    __u16 *dport = from_client ? &p->key.server_port : &p->key.client_port;
    struct ethhdr *eth = data;
    int rc;

    if ((void *)(eth + 1) > data_end)
        return WC_SHORT;
    if (eth->h_proto == bpf_htons(WC_ETH_IPV4))
        rc = wc_parse_ipv4(data, data_end, p, src, dst, gso_len);
    else if (eth->h_proto == bpf_htons(WC_ETH_IPV6))
        rc = wc_parse_ipv6(data, data_end, p, src, dst, gso_len);
    else
        return WC_NOT_OURS;
    if (rc != WC_PARSED)
        return rc;
    rc = wc_parse_tcp(data, data_end, p, sport, dport);
    if (rc == WC_PARSED && p->key.server_port != wc_cfg.port)
        return WC_NOT_OURS;
    if (p->odd || p->ect_ce || p->reserved)
        p->seg.plain = 0;
    return rc;
}

/* ---- the same helper under both hooks; `hook` is a compile-time constant ---- */

WC_INLINE long wc_load(enum wc_hook hook, void *ctx, __u32 off, void *to, __u32 len)
{
    if (hook == WC_HOOK_XDP)
        return bpf_xdp_load_bytes(ctx, off, to, len);
    return bpf_skb_load_bytes(ctx, off, to, len);
}

WC_INLINE long wc_store(enum wc_hook hook, void *ctx, __u32 off, void *from, __u32 len)
{
    if (hook == WC_HOOK_XDP)
        return bpf_xdp_store_bytes(ctx, off, from, len);
    /* The checksum of an skb that hardware summed up (CHECKSUM_COMPLETE) is kept right. */
    return bpf_skb_store_bytes(ctx, off, from, len, BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH);
}

/* Change the frame's length. 0 or negative. Packet pointers are void afterwards. */
WC_INLINE long wc_resize(enum wc_hook hook, void *ctx, __u32 from, __u32 to)
{
    if (from == to)
        return 0;
    if (hook == WC_HOOK_XDP)
        return bpf_xdp_adjust_tail(ctx, (int)(to - from));
    return bpf_skb_change_tail(ctx, to, 0);
}

#endif
