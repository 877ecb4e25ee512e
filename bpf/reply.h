/* Turning a request's frame into its reply, or into a bare ACK for the stack. Works on frames whose headers are plain:
 * Ethernet, IPv4 without options or IPv6 without extension headers, TCP without options or with the timestamp alone.
 *
 * s->original holds the headers as they came, s->headers those to send; both begin 2 bytes in, so that IP and TCP are
 * aligned.
 */
#ifndef WC_REPLY_H
#define WC_REPLY_H

#include "hot.h"

#define WC_ALIGN 2
#define WC_IP_DF 0x4000

WC_INLINE __u32 wc_header_len(const struct wc_packet *p)
{
    return WC_ETH_LEN + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + sizeof(struct tcphdr) +
           (p->seg.ts ? 12 : 0);
}

WC_INLINE struct tcphdr *wc_tcp_of(__u8 *headers, const struct wc_packet *p)
{
    if (p->v6)
        return (void *)(headers + WC_ALIGN + WC_ETH_LEN + sizeof(struct ipv6hdr));
    return (void *)(headers + WC_ALIGN + WC_ETH_LEN + sizeof(struct iphdr));
}

WC_INLINE __u64 wc_csum_tcp_header(const struct tcphdr *th, const struct wc_packet *p)
{
    __u64 sum = wc_csum_words(th, 5);

    if (p->seg.ts)
        sum += wc_csum_words(th + 1, 3);
    return sum;
}

WC_INLINE long wc_load_original(enum wc_hook hook, void *ctx, struct wc_scratch *s, const struct wc_packet *p)
{
    __u32 len = wc_header_len(p);

    barrier_var(len);
    if (len > sizeof(s->original) - WC_ALIGN)
        return -1;
    return wc_load(hook, ctx, 0, s->original + WC_ALIGN, len);
}

/* Is the checksum of the request (in s->original and s->request) right? *bare: the field holds nothing but the pseudo
 * header's sum, which is how a locally made packet travels until hardware completes it (CHECKSUM_PARTIAL). */
WC_INLINE bool wc_checksum_ok(struct wc_scratch *s, const struct wc_packet *p, __u32 padded, bool *bare)
{
    __u64 pseudo = wc_csum_pseudo(p, p->tcp_len + p->seg.len);
    __u64 sum = pseudo + wc_csum_tcp_header(wc_tcp_of(s->original, p), p);

    barrier_var(padded);
    if (padded > WC_REQUEST_BUF)
        return false;
    sum += (__u32)bpf_csum_diff(0, 0, (void *)s->request, padded, 0);
    *bare = false;
    if (wc_csum_fold(sum) == 0xffff)
        return true;
    *bare = p->check == wc_csum_fold(pseudo);
    return *bare;
}

WC_INLINE void wc_finish_tcp(struct tcphdr *th, const struct wc_packet *p, __u32 len, __u64 payload_sum, bool bare)
{
    __u64 pseudo = wc_csum_pseudo(p, p->tcp_len + len);

    th->check = 0;
    th->check = bare ? wc_csum_fold(pseudo) : (__u16)~wc_csum_fold(pseudo + wc_csum_tcp_header(th, p) + payload_sum);
}

WC_INLINE void wc_finish_ipv4(struct iphdr *ip, __u32 total)
{
    ip->tot_len = bpf_htons(total);
    ip->check = 0;
    ip->check = ~wc_csum_fold(wc_csum_words(ip, 5));
}

/* The reply's headers into s->headers. `again`: it was lost before, perhaps because it is too big for the path; an ICMP
 * error would have gone to the stack, which knows nothing of it. So IPv4 routers may fragment it this time. */
WC_INLINE void wc_compose_reply(struct wc_scratch *s, const struct wc_packet *p, const struct wc_tcp_out *out,
                                bool bare, bool again)
{
    struct ethhdr *from = (void *)(s->original + WC_ALIGN), *eth = (void *)(s->headers + WC_ALIGN);
    struct tcphdr *th = wc_tcp_of(s->headers, p);
    __u32 len = s->reply.len;

    __builtin_memcpy(eth->h_dest, from->h_source, sizeof(eth->h_dest));
    __builtin_memcpy(eth->h_source, from->h_dest, sizeof(eth->h_source));
    eth->h_proto = from->h_proto;
    if (p->v6) {
        struct ipv6hdr *ip = (void *)(eth + 1);

        *(__u32 *)ip = out->flow | bpf_htonl(0x60000000);
        ip->payload_len = bpf_htons(p->tcp_len + len);
        ip->nexthdr = IPPROTO_TCP;
        ip->hop_limit = out->hop_limit;
        __builtin_memcpy(&ip->saddr, p->key.server, sizeof(ip->saddr));
        __builtin_memcpy(&ip->daddr, p->key.client, sizeof(ip->daddr));
    } else {
        struct iphdr *ip = (void *)(eth + 1);

        *(__u16 *)ip = bpf_htons(0x4500 | (out->flow & 0xff));
        ip->id = again ? bpf_htons(out->seq) : 0;
        ip->frag_off = again ? 0 : bpf_htons(WC_IP_DF);
        ip->ttl = out->hop_limit;
        ip->protocol = IPPROTO_TCP;
        ip->saddr = p->key.server[3];
        ip->daddr = p->key.client[3];
        wc_finish_ipv4(ip, sizeof(*ip) + p->tcp_len + len);
    }
    th->source = p->key.server_port;
    th->dest = p->key.client_port;
    th->seq = bpf_htonl(out->seq);
    th->ack_seq = bpf_htonl(out->ack);
    ((__u16 *)th)[6] = bpf_htons(p->tcp_len << 10 | WC_ACK | WC_PSH);
    th->window = bpf_htons(out->window);
    th->urg_ptr = 0;
    if (p->seg.ts) {
        __u32 *opt = (void *)(th + 1);

        opt[0] = bpf_htonl(WC_OPT_TS_WORD);
        opt[1] = bpf_htonl(out->tsval);
        opt[2] = p->tsval_raw;
    }
    wc_finish_tcp(th, p, len, s->reply.sum, bare);
}

/* The request's own headers, made a bare ACK in kernel space, into s->original. */
WC_INLINE void wc_compose_feed(struct wc_scratch *s, const struct wc_packet *p, __u32 seq, __u32 ack, bool bare)
{
    struct ethhdr *eth = (void *)(s->original + WC_ALIGN);
    struct tcphdr *th = wc_tcp_of(s->original, p);

    if (p->v6) {
        struct ipv6hdr *ip = (void *)(eth + 1);

        ip->payload_len = bpf_htons(p->tcp_len);
    } else {
        struct iphdr *ip = (void *)(eth + 1);

        wc_finish_ipv4(ip, sizeof(*ip) + p->tcp_len);
    }
    th->seq = bpf_htonl(seq);
    th->ack_seq = bpf_htonl(ack);
    ((__u16 *)th)[6] = bpf_htons(p->tcp_len << 10 | WC_ACK);
    wc_finish_tcp(th, p, 0, 0, bare);
}

/* Write headers and payload over a frame that already has the right length. */
WC_INLINE long wc_write_reply(enum wc_hook hook, void *ctx, struct wc_scratch *s, const struct wc_packet *p)
{
    __u32 header_len = wc_header_len(p), start = s->reply.start & (WC_HEAD_MAX - 1), len = s->reply.len;

    barrier_var(header_len);
    if (header_len > sizeof(s->headers) - WC_ALIGN || wc_store(hook, ctx, 0, s->headers + WC_ALIGN, header_len))
        return -1;
    barrier_var(len);
    if (len - 1 >= WC_REPLY_MAX - 1)
        return -1;
    return wc_store(hook, ctx, header_len, s->reply.bytes + start, len);
}

WC_INLINE void wc_copy_saved(struct wc_saved *to, const struct wc_saved *from)
{
    __u32 start = from->start & (WC_HEAD_MAX - 1), len = from->len, end = start + len;

    to->len = len;
    to->sum = from->sum;
    to->start = start;
    to->null = from->null;
    barrier_var(end);
    if (end - 1 < sizeof(to->bytes))
        bpf_probe_read_kernel(to->bytes, end, from->bytes);
}

/* Keep the reply for retransmission. The stamp is zero while the copy is under way. */
WC_INLINE void wc_save_reply(const struct wc_scratch *s, __u32 number, __u32 seq)
{
    struct wc_saved *saved = bpf_map_lookup_elem(&replies, &number);

    if (!saved)
        return;
    *(volatile __u64 *)&saved->stamp = 0;
    barrier();
    wc_copy_saved(saved, &s->reply);
    barrier();
    *(volatile __u64 *)&saved->stamp = WC_SAVED_VALID | seq;
}

/* Fetch the saved reply that begins at seq into s->reply. false: it is not there, or is being written. */
WC_INLINE bool wc_load_saved(struct wc_scratch *s, __u32 number, __u32 seq)
{
    struct wc_saved *saved = bpf_map_lookup_elem(&replies, &number);
    __u64 stamp = WC_SAVED_VALID | seq;

    if (!saved || *(volatile __u64 *)&saved->stamp != stamp)
        return false;
    barrier();
    wc_copy_saved(&s->reply, saved);
    barrier();
    return *(volatile __u64 *)&saved->stamp == stamp;
}

#endif
