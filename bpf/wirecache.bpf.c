/* TC ingress and egress, and the socket hook that follows connections from birth to death.
 *
 *   wc_tc_in     every segment to the server's port: answered, replayed, dropped, or passed up in kernel space
 *   wc_tc_out    every segment from it: back into client space
 *   wc_sock_ops  a connection became established: its entry in conns; its socket closed: the entry goes, or lingers
 *
 * The XDP program is an object of its own (xdp.bpf.c) that shares the maps.
 */
#include "answer.h"
#include "options.h"

#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define TC_NEXT (-1) /* TC_ACT_UNSPEC, TCX_NEXT: other programs see the packet too */
#define TC_DROP 2    /* TC_ACT_SHOT */

#define WC_AF_INET6    10
#define WC_HEADERS_MAX (WC_ETH_LEN + 60 + 60)

/* Parse, pulling the headers into linear memory when they are not there. */
static __noinline int wc_parse_skb(struct __sk_buff *skb, struct wc_packet *p, bool from_client)
{
    __u32 gso_len = skb->gso_size ? skb->len : 0;
    int rc = wc_parse((void *)(long)skb->data, (void *)(long)skb->data_end, p, from_client, gso_len);

    if (rc != WC_SHORT)
        return rc;
    if (bpf_skb_pull_data(skb, skb->len < WC_HEADERS_MAX ? skb->len : WC_HEADERS_MAX))
        return WC_NOT_OURS;
    return wc_parse((void *)(long)skb->data, (void *)(long)skb->data_end, p, from_client, gso_len);
}

/* New sequence and acknowledgement numbers into the TCP header. bpf_l4_csum_replace without BPF_F_PSEUDO_HDR leaves
 * the checksum of CHECKSUM_PARTIAL packets alone, as it must be. */
WC_INLINE void wc_rewrite_numbers(struct __sk_buff *skb, const struct wc_packet *p, const struct wc_tcp_out *out)
{
    __u32 old[2] = {bpf_htonl(p->seg.seq), bpf_htonl(p->seg.ack)};
    __u32 new[2] = {bpf_htonl(out->seq), bpf_htonl(out->ack)};

    if (old[0] == new[0] && old[1] == new[1])
        return;
    bpf_l4_csum_replace(skb, p->l4 + offsetof(struct tcphdr, check), 0,
                        bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0), 0);
    bpf_skb_store_bytes(skb, p->l4 + offsetof(struct tcphdr, seq), new, sizeof(new), 0);
}

/* ANSWER_FEED: the frame is the reply; send a copy of it, then turn the frame into a bare ACK for the stack. */
WC_INLINE int wc_feed_stack(struct __sk_buff *skb, struct wc_scratch *s, struct wc_request *r)
{
    __u32 len = wc_header_len(&r->p);

    bpf_clone_redirect(skb, skb->ifindex, 0);
    if (bpf_skb_change_tail(skb, len, 0))
        return TC_DROP; /* the stack misses an ACK; it will be fed again, rule O2 */
    wc_compose_feed(s, &r->p, r->out.feed_seq, r->out.feed_ack, r->bare);
    barrier_var(len);
    if (len > sizeof(s->original) - WC_ALIGN || wc_store(WC_HOOK_TC_IN, skb, 0, s->original + WC_ALIGN, len))
        return TC_DROP;
    return TC_NEXT;
}

SEC("tc")
int wc_tc_in(struct __sk_buff *skb)
{
    struct wc_request r = {};
    struct wc_options options;
    struct wc_scratch *s;
    struct wc_conn *c;
    __u32 which = WC_HOOK_TC_IN, verdict, grown = 0, len = skb->len;
    __u64 now;
    int why = WC_CTR_HITS;

    if (wc_parse_skb(skb, &r.p, true) != WC_PARSED)
        return TC_NEXT;
    c = bpf_map_lookup_elem(&conns, &r.p.key);
    s = bpf_map_lookup_elem(&scratch, &which);
    if (!c || !s)
        return TC_NEXT;
    now = bpf_ktime_get_ns();
    r.p.seg.clock = wc_ts_clock(c, now);
    options.sack_blocks = 0;
    if (r.p.opt_len)
        wc_read_options(skb, &r.p, &options);
    if (skb->vlan_present)
        r.p.seg.plain = 0; /* the tag is beside the frame; replies keep to frames without one */

    if (r.p.seg.len) {
        why = wc_make_offer(WC_HOOK_TC_IN, skb, s, c, &r, now);
        if (why == WC_CTR_HITS) {
            /* Cheap look ahead, without the lock, before the frame is changed. */
            __u32 refusal = wc_tcp_refuse(&c->tcp, &r.p.seg, &r.offer);

            if (refusal != WC_REFUSED_NOT) {
                why = wc_refusal_counter(refusal);
                r.offer.reply_len = 0;
            } else if (wc_header_len(&r.p) + s->reply.len > len) {
                /* Growing can fail, so it comes before the exchange is committed; shrinking cannot, and waits. */
                grown = wc_header_len(&r.p) + s->reply.len;
                if (bpf_skb_change_tail(skb, grown, 0)) {
                    grown = 0;
                    why = WC_CTR_PASS_GROW;
                    r.offer.reply_len = 0;
                }
            }
        }
    }

    verdict = wc_judge(c, &r);
    switch (verdict) {
    case WC_TCP_ANSWER:
    case WC_TCP_ANSWER_FEED:
        wc_save_reply(s, r.number, r.out.seq); /* before what may fail: shrinking a cloned skb allocates */
        if (wc_resize(WC_HOOK_TC_IN, skb, grown ? grown : len, wc_header_len(&r.p) + s->reply.len) ||
            wc_send_answer(WC_HOOK_TC_IN, skb, s, &r, now))
            return TC_DROP; /* committed: the client asks again and gets the saved reply */
        if (verdict == WC_TCP_ANSWER_FEED)
            return wc_feed_stack(skb, s, &r);
        return bpf_redirect(skb->ifindex, 0);
    case WC_TCP_REPLAY:
        if (wc_send_replay(WC_HOOK_TC_IN, skb, s, c, &r, grown ? grown : len)) {
            wc_count(WC_CTR_DROPPED_REPLAYS);
            return TC_DROP;
        }
        return bpf_redirect(skb->ifindex, 0);
    case WC_TCP_DROP:
        wc_count(r.p.seg.len ? WC_CTR_DROPPED_REPLAYS : WC_CTR_DROPPED_ACKS);
        return TC_DROP;
    }

    if (why != WC_CTR_HITS)
        wc_count(why);
    else if (r.out.refusal != WC_REFUSED_NOT)
        wc_count(wc_refusal_counter(r.out.refusal));
    if (grown && bpf_skb_change_tail(skb, len, 0))
        return TC_DROP;
    if (verdict == WC_TCP_PASS) {
        wc_rewrite_numbers(skb, &r.p, &r.out);
        if (options.sack_blocks && r.out.x.dout)
            wc_rewrite_sack(skb, &r.p, &options, &r.out.x, true);
    }
    return TC_NEXT;
}

SEC("tc")
int wc_tc_out(struct __sk_buff *skb)
{
    struct wc_packet p = {};
    struct wc_tcp_out out = {};
    struct wc_options options;
    struct wc_conn *c;
    __u32 verdict = WC_TCP_RAW, tagged = skb->vlan_present;

    /* Our own replies, redirected from ingress, are in client space already. */
    if (skb->ingress_ifindex)
        return TC_NEXT;
    if (wc_parse_skb(skb, &p, false) != WC_PARSED)
        return TC_NEXT;
    c = bpf_map_lookup_elem(&conns, &p.key);
    if (!c)
        return TC_NEXT;
    p.seg.clock = wc_ts_clock(c, bpf_ktime_get_ns());
    options.sack_blocks = 0;
    if (p.opt_len)
        wc_read_options(skb, &p, &options);

    bpf_spin_lock(&c->lock);
    if (wc_same_pair(&c->self, &p.key))
        verdict = wc_tcp_egress(&c->tcp, &p.seg, &out);
    /* XDP does not see a tag that is carried beside the frame, and would answer without it: never answer here. */
    if (verdict == WC_TCP_PASS && tagged)
        c->tcp.spoken = 0;
    bpf_spin_unlock(&c->lock);

    if (verdict == WC_TCP_DROP) {
        wc_count(WC_CTR_DROPPED_SPANNING);
        return TC_DROP;
    }
    if (verdict == WC_TCP_PASS) {
        wc_rewrite_numbers(skb, &p, &out);
        if (options.sack_blocks && out.x.din)
            wc_rewrite_sack(skb, &p, &options, &out.x, false);
    }
    return TC_NEXT;
}

/* ---- connections ---- */

WC_INLINE void wc_conn_key_of(struct bpf_sock_ops *ops, struct wc_conn_key *key)
{
    /* Both forms are read whatever the family: in branches, clang 14 merges the loads behind a computed context
     * pointer, which the verifier refuses ("dereference of modified ctx ptr"). */
    __u32 client4 = ops->remote_ip4, server4 = ops->local_ip4;

    key->client[0] = ops->remote_ip6[0];
    key->client[1] = ops->remote_ip6[1];
    key->client[2] = ops->remote_ip6[2];
    key->client[3] = ops->remote_ip6[3];
    key->server[0] = ops->local_ip6[0];
    key->server[1] = ops->local_ip6[1];
    key->server[2] = ops->local_ip6[2];
    key->server[3] = ops->local_ip6[3];
    if (ops->family != WC_AF_INET6) {
        wc_map_v4(key->client, client4);
        wc_map_v4(key->server, server4);
    }
    key->client_port = ops->remote_port >> 16;
    key->server_port = bpf_htons(ops->local_port);
}

/* The number of an entry that is about to go is free again: userspace sees `returned` catch up with `taken`. */
WC_INLINE void wc_return_number(__u32 number)
{
    struct wc_conn_ctl *ctl = bpf_map_lookup_elem(&conn_ctl, &number);

    if (!ctl)
        return;
    ctl->closed_s = 0;
    ctl->returned = ctl->taken;
}

/* Make the entry void and remove it. */
WC_INLINE void wc_remove_conn(struct wc_conn_key *key, struct wc_conn *c)
{
    __u32 number = c->number;

    bpf_spin_lock(&c->lock);
    c->tcp.state = WC_TCP_NEW;
    bpf_spin_unlock(&c->lock);
    bpf_map_delete_elem(&conns, key);
    wc_return_number(number);
}

/* What only the socket knows: the scales of both windows and the unit of its timestamp clock. */
WC_INLINE void wc_read_socket(struct bpf_sock_ops *ops, struct wc_tcp *t)
{
    struct bpf_sock *sk = ops->sk;
    struct tcp_options_received *rx;
    struct tcp_sock *tp;

    if (!sk)
        return;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp)
        return;
    rx = &tp->rx_opt;
    if (BPF_CORE_READ_BITFIELD_PROBED(rx, wscale_ok)) {
        t->cli_wscale = BPF_CORE_READ_BITFIELD_PROBED(rx, snd_wscale);
        t->srv_wscale = BPF_CORE_READ_BITFIELD_PROBED(rx, rcv_wscale);
    }
    if (bpf_core_field_exists(tp->tcp_usec_ts))
        t->ts_usec = BPF_CORE_READ_BITFIELD_PROBED(tp, tcp_usec_ts);
}

/* A hash element may be recycled from another connection while that one's packets still hold a pointer to it, so it
 * enters the map void (tcp.state NEW) and is filled under its lock. */
WC_INLINE void wc_conn_born(struct bpf_sock_ops *ops)
{
    struct wc_conn_key key = {};
    struct wc_conn fresh = {}, *c;
    struct wc_conn_ctl *ctl;
    __u32 number;

    wc_conn_key_of(ops, &key);
    c = bpf_map_lookup_elem(&conns, &key);
    if (c) /* a lingering predecessor */
        wc_remove_conn(&key, c);
    if (bpf_map_pop_elem(&free_conns, &number)) {
        wc_count(WC_CTR_NO_NUMBER);
        return;
    }
    ctl = bpf_map_lookup_elem(&conn_ctl, &number);
    if (!ctl)
        return;
    ctl->taken++;
    fresh.number = number;
    fresh.self = key;
    fresh.cookie = bpf_get_socket_cookie(ops);
    if (bpf_map_update_elem(&conns, &key, &fresh, BPF_NOEXIST)) {
        wc_return_number(number);
        return;
    }
    c = bpf_map_lookup_elem(&conns, &key);
    if (!c)
        return;
    fresh.tcp.mss = ops->mss_cache;
    wc_read_socket(ops, &fresh.tcp);
    wc_tcp_open(&fresh.tcp, ops->rcv_nxt, ops->snd_nxt);
    bpf_spin_lock(&c->lock);
    c->self = key;
    c->tcp = fresh.tcp;
    bpf_spin_unlock(&c->lock);
    bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* The socket is gone (or is in TIME_WAIT). Late segments still need translation, if there is any. */
WC_INLINE void wc_conn_died(struct bpf_sock_ops *ops)
{
    struct wc_conn_key key = {};
    struct wc_conn_ctl *ctl;
    struct wc_conn *c;
    bool linger;
    __u32 number;
    __u64 now;

    wc_conn_key_of(ops, &key);
    c = bpf_map_lookup_elem(&conns, &key);
    if (!c || c->cookie != bpf_get_socket_cookie(ops))
        return;
    now = bpf_ktime_get_ns();
    bpf_spin_lock(&c->lock);
    linger = c->tcp.x.din || c->tcp.x.dout;
    c->tcp.state = WC_TCP_CLOSING;
    c->closed_ns = now;
    bpf_spin_unlock(&c->lock);
    if (!linger) {
        wc_remove_conn(&key, c);
        return;
    }
    number = c->number;
    ctl = bpf_map_lookup_elem(&conn_ctl, &number);
    if (ctl)
        ctl->closed_s = now / 1000000000 + 1;
}

SEC("sockops")
int wc_sock_ops(struct bpf_sock_ops *ops)
{
    if (ops->local_port != bpf_ntohs(wc_cfg.port) || bpf_get_netns_cookie(ops) != wc_cfg.netns_cookie)
        return 1;
    switch (ops->op) {
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        wc_conn_born(ops);
        break;
    case BPF_SOCK_OPS_STATE_CB:
        if (ops->args[1] == BPF_TCP_CLOSE)
            wc_conn_died(ops);
        break;
    }
    return 1;
}
