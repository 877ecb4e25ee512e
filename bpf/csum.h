/* Checksums: ones' complement sums (RFC 1071) over memory order, so that byte order does not matter. */
#ifndef WC_CSUM_H
#define WC_CSUM_H

#include "packet.h"

WC_INLINE __u16 wc_csum_fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* The pseudo header of RFC 9293 section 3.1 and RFC 8200 section 8.1; tcp_len: header and payload. Direction does not
 * matter. The v4-mapped form in the key is told apart by v6. */
WC_INLINE __u64 wc_csum_pseudo(const struct wc_packet *p, __u32 tcp_len)
{
    __u64 sum = bpf_htonl(tcp_len) + (__u64)bpf_htonl(IPPROTO_TCP);

    sum += (__u64)p->key.client[3] + p->key.server[3];
    if (p->v6)
        for (int i = 0; i < 3; i++)
            sum += (__u64)p->key.client[i] + p->key.server[i];
    return sum;
}

/* Sum of n 32-bit words, n constant. */
WC_INLINE __u64 wc_csum_words(const void *from, int n)
{
    const __u32 *w = from;
    __u64 sum = 0;

#pragma unroll
    for (int i = 0; i < n; i++)
        sum += w[i];
    return sum;
}

#endif
