/* The XDP program: answers and replays before the stack has made an skb. Whatever it does not answer goes on as it
 * came; TC ingress sees it next, translates it and counts why. State moves here only with an answer.
 *
 * An object of its own, so that libxdp can load it as part of a dispatcher; its maps are those of wirecache.bpf.c.
 */
#include "answer.h"

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int wc_xdp(struct xdp_md *xdp)
{
    struct wc_request r = {};
    struct wc_scratch *s;
    struct wc_conn *c;
    __u32 which = WC_HOOK_XDP, verdict, grown = 0;
    __u32 len = xdp->data_end - xdp->data;
    __u64 now;

    if (wc_parse((void *)(long)xdp->data, (void *)(long)xdp->data_end, &r.p, true, 0) != WC_PARSED || !r.p.seg.plain)
        return XDP_PASS;
    c = bpf_map_lookup_elem(&conns, &r.p.key);
    s = bpf_map_lookup_elem(&scratch, &which);
    if (!c || !s)
        return XDP_PASS;
    now = bpf_ktime_get_ns();
    r.p.seg.clock = wc_ts_clock(c, now);
    r.offer.xdp = 1;

    if (r.p.seg.len && wc_make_offer(WC_HOOK_XDP, xdp, s, c, &r, now) == WC_CTR_HITS) {
        __u32 refusal = wc_tcp_refuse(&c->tcp, &r.p.seg, &r.offer);

        if (refusal != WC_REFUSED_NOT) {
            if (refusal == WC_REFUSED_FEED) /* TC answers it and counts a hit: nobody else would count this */
                wc_count(WC_CTR_PASS_FEED);
            r.offer.reply_len = 0;
        } else if (wc_header_len(&r.p) + s->reply.len > len) {
            grown = wc_header_len(&r.p) + s->reply.len;
            if (bpf_xdp_adjust_tail(xdp, (int)(grown - len))) {
                grown = 0;
                r.offer.reply_len = 0;
                wc_count(WC_CTR_PASS_GROW);
            }
        }
    }

    verdict = wc_judge(c, &r);
    if (verdict == WC_TCP_ANSWER) {
        wc_save_reply(s, r.number, r.out.seq);
        if (wc_resize(WC_HOOK_XDP, xdp, grown ? grown : len, wc_header_len(&r.p) + s->reply.len) ||
            wc_send_answer(WC_HOOK_XDP, xdp, s, &r, now))
            return XDP_DROP; /* committed: the client asks again and gets the saved reply */
        return XDP_TX;
    }
    if (verdict == WC_TCP_REPLAY) {
        long rc = wc_send_replay(WC_HOOK_XDP, xdp, s, c, &r, grown ? grown : len);

        if (!rc)
            return XDP_TX;
        /* A frame of some drivers' cannot grow (veth: hardly at all). TC can grow any, and replays it. */
        if (rc != WC_UNTOUCHED) {
            wc_count(WC_CTR_DROPPED_REPLAYS);
            return XDP_DROP;
        }
    }
    if (grown && bpf_xdp_adjust_tail(xdp, (int)(len - grown)))
        return XDP_DROP;
    return XDP_PASS;
}
