/* Answering, common to XDP and TC: decide what could be sent (wc_make_offer), let the state machine decide under the
 * connection's lock (wc_judge), send it (wc_send_reply).
 */
#ifndef WC_ANSWER_H
#define WC_ANSWER_H

#include "reply.h"

/* What is known about a request on its way through a hook. */
struct wc_request {
    struct wc_packet p;
    struct wc_offer offer;
    struct wc_slot *slot;
    struct wc_tcp_out out;
    __u32 number;
    bool bare; /* the checksum field holds the pseudo header's sum only */
};

/* The clock that the connection's timestamps count. (tcp_clock_ts() in include/net/tcp.h) */
WC_INLINE __u32 wc_ts_clock(const struct wc_conn *c, __u64 now)
{
    return c->tcp.ts_usec ? now / 1000 : now / 1000000;
}

/* Does the reply fit the interface? Its MTU may have become smaller since the connection was born, and a reply that the
 * link drops is replayed for ever. IPv6 links carry 1280 bytes; IPv4 links are taken to carry 576. */
WC_INLINE bool wc_fits_link(void *ctx, const struct wc_packet *p, __u32 reply_len)
{
    __u32 l3_len = wc_header_len(p) - WC_ETH_LEN + reply_len;

    return l3_len <= 576 || bpf_check_mtu(ctx, 0, &l3_len, 0, 0) <= 0;
}

/* Load headers and payload, see whether this is a GET that the connection and the hot set allow.
 * Returns WC_CTR_HITS with r->offer filled, or the counter that says why not. */
WC_INLINE int wc_make_offer(enum wc_hook hook, void *ctx, struct wc_scratch *s, struct wc_conn *c, struct wc_request *r,
                            __u64 now)
{
    __u32 len = r->p.seg.len, key_len, key_at = 0, number = c->number;
    struct wc_conn_ctl *ctl;
    __u64 progress;
    int rc;

    barrier_var(len);
    if (len < WC_REQUEST_MIN || len > WC_REQUEST_MAX)
        return WC_CTR_PASS_NOT_GET;
    if (wc_load(hook, ctx, r->p.l4 + r->p.tcp_len, s->request, len))
        return WC_CTR_PASS_NOT_GET;
    *(__u32 *)(s->request + len) = 0; /* pads to a multiple of 4, for the checksum */
    key_len = wc_match_get(s->request, len, &key_at);
    if (!key_len)
        return WC_CTR_PASS_NOT_GET;
    if (r->p.reserved || r->p.ect_ce || (r->p.seg.flags & ~WC_PSH) != WC_ACK)
        return WC_CTR_PASS_FLAGS;
    if (!r->p.seg.plain)
        return WC_CTR_PASS_OPTIONS;

    ctl = bpf_map_lookup_elem(&conn_ctl, &number);
    if (!ctl || !wc_answering() || ctl->cookie != c->cookie)
        return WC_CTR_PASS_NOT_ELIGIBLE;
    /* `progress` first: a worker clears the flag before it stores the progress that lets the client go on. */
    progress = *(volatile __u64 *)&ctl->progress;
    barrier();
    if (!(*(volatile __u32 *)&ctl->flags & WC_CONN_ELIGIBLE))
        return WC_CTR_PASS_NOT_ELIGIBLE;

    rc = wc_hot_find(s, key_len, key_at, now, &r->slot);
    if (rc != WC_CTR_HITS)
        return rc;
    if (s->reply.null && (ctl->flags & WC_CONN_RESP3))
        return WC_CTR_PASS_EMPTY;
    if (wc_load_original(hook, ctx, s, &r->p))
        return WC_CTR_PASS_OPTIONS;
    if (!wc_checksum_ok(s, &r->p, (len + 3) & ~3u, &r->bare))
        return WC_CTR_PASS_CHECKSUM;
    if (!wc_fits_link(ctx, &r->p, s->reply.len))
        return WC_CTR_PASS_SEGMENT;
    r->number = number;
    r->offer.consumed = progress;
    r->offer.produced = progress >> 32;
    r->offer.reply_len = s->reply.len;
    return WC_CTR_HITS;
}

WC_INLINE int wc_refusal_counter(__u32 refusal)
{
    switch (refusal) {
    case WC_REFUSED_CLOSING:
        return WC_CTR_PASS_CLOSING;
    case WC_REFUSED_SILENT:
        return WC_CTR_PASS_SILENT;
    case WC_REFUSED_NOT_EXECUTED:
        return WC_CTR_PASS_NOT_EXECUTED;
    case WC_REFUSED_UNACKED:
        return WC_CTR_PASS_UNACKED;
    case WC_REFUSED_TIMESTAMP:
        return WC_CTR_PASS_TIMESTAMP;
    case WC_REFUSED_WINDOW:
        return WC_CTR_PASS_WINDOW;
    case WC_REFUSED_SEGMENT:
        return WC_CTR_PASS_SEGMENT;
    default:
        return WC_CTR_PASS_FEED;
    }
}

WC_INLINE bool wc_same_pair(const struct wc_conn_key *a, const struct wc_conn_key *b)
{
    const __u32 *x = (const void *)a, *y = (const void *)b;
    __u32 diff = 0;

#pragma unroll
    for (int i = 0; i < (int)sizeof(*a) / 4; i++)
        diff |= x[i] ^ y[i];
    return !diff;
}

/* The state machine's verdict on a client's segment, under the lock. */
WC_INLINE __u32 wc_judge(struct wc_conn *c, struct wc_request *r)
{
    __u32 verdict = WC_TCP_RAW;

    bpf_spin_lock(&c->lock);
    if (wc_same_pair(&c->self, &r->p.key)) {
        verdict = wc_tcp_ingress(&c->tcp, &r->p.seg, &r->offer, &r->out);
        /* How many bytes follow a fragment is not known, so what was passed up is not either. */
        if (r->p.fragment && !r->offer.xdp && verdict == WC_TCP_PASS &&
            wc_tcp_acceptable(&c->tcp, r->out.seq, r->out.seq))
            c->tcp.state = WC_TCP_CLOSING;
    }
    bpf_spin_unlock(&c->lock);
    return verdict;
}

/* Who was hit: the slot, the connection, the totals. */
WC_INLINE void wc_count_hit(enum wc_hook hook, const struct wc_scratch *s, struct wc_request *r, __u64 now)
{
    struct wc_conn_ctl *ctl = bpf_map_lookup_elem(&conn_ctl, &r->number);

    if (r->slot) {
        __sync_fetch_and_add(&r->slot->hits, 1);
        r->slot->last_hit_ns = now;
    }
    if (ctl) {
        ctl->hits++;
        ctl->last_hit_ns = now;
    }
    wc_count(WC_CTR_HITS);
    if (s->reply.null)
        wc_count(WC_CTR_HITS_NULL);
    if (hook == WC_HOOK_XDP)
        wc_count(WC_CTR_HITS_XDP);
    wc_count_n(WC_CTR_IN_BYTES, r->p.seg.len);
    wc_count_n(WC_CTR_OUT_BYTES, s->reply.len);
}

/* After ANSWER and wc_save_reply(): the frame has the reply's length; write it, count it. */
WC_INLINE long wc_send_answer(enum wc_hook hook, void *ctx, struct wc_scratch *s, struct wc_request *r, __u64 now)
{
    wc_compose_reply(s, &r->p, &r->out, hook == WC_HOOK_TC_IN && r->bare, false);
    wc_count_hit(hook, s, r, now);
    return wc_write_reply(hook, ctx, s, &r->p);
}

/* The segment that asks for a replay was not checked as a GET is, and a reply must not echo a timestamp that its client
 * never sent: a flipped bit becomes a round trip of a minute in the client's estimate. Long segments and those with
 * other options are not worth the check: the last in-order timestamp is as good an echo (RFC 7323 section 4.3). */
WC_INLINE bool wc_trigger_ok(enum wc_hook hook, void *ctx, struct wc_scratch *s, struct wc_request *r)
{
    __u32 len = r->p.seg.len;
    bool bare;

    barrier_var(len);
    if (!r->p.seg.plain || len > WC_REQUEST_MAX || wc_load_original(hook, ctx, s, &r->p))
        return false;
    if (len && wc_load(hook, ctx, r->p.l4 + r->p.tcp_len, s->request, len))
        return false;
    *(__u32 *)(s->request + len) = 0;
    return wc_checksum_ok(s, &r->p, (len + 3) & ~3u, &bare);
}

#define WC_UNTOUCHED 1

/* After REPLAY: fetch the saved reply, give the frame its length, write it. 0 when the frame can be sent, WC_UNTOUCHED
 * when the frame is as it was.
 * The segment that asked for it may carry any options; the reply has none but the timestamp. */
WC_INLINE long wc_send_replay(enum wc_hook hook, void *ctx, struct wc_scratch *s, struct wc_conn *c,
                              struct wc_request *r, __u32 frame_len)
{
    /* A corrupted trigger does no other harm: the reply goes to the connection's own client and is right. */
    bool bare = r->p.check == wc_csum_fold(wc_csum_pseudo(&r->p, r->p.tcp_len + r->p.seg.len));

    if (!wc_load_saved(s, c->number, r->out.seq) || wc_load(hook, ctx, 0, s->original + WC_ALIGN, WC_ETH_LEN))
        return WC_UNTOUCHED;
    if (r->p.seg.ts && c->tcp.ts_on && !wc_trigger_ok(hook, ctx, s, r))
        r->p.tsval_raw = bpf_htonl(c->tcp.ts_recent);
    if (wc_resize(hook, ctx, frame_len, wc_header_len(&r->p) + s->reply.len))
        return WC_UNTOUCHED;
    r->p.tcp_len = sizeof(struct tcphdr) + (r->p.seg.ts ? 12 : 0);
    wc_compose_reply(s, &r->p, &r->out, hook == WC_HOOK_TC_IN && bare, true);
    wc_count(WC_CTR_REPLAYS);
    return wc_write_reply(hook, ctx, s, &r->p);
}

#endif
