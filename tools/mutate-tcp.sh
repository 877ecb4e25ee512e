#!/usr/bin/env bash
# Would the tests notice if include/wc_tcp.h were wrong? Each mutation in the list below spoils a copy of it in one
# place. The tables of test_tcp must then fail or, if they do not, the schedules of test_tcp_model.
#
#   tools/mutate-tcp.sh              all of them, about two minutes
#   tools/mutate-tcp.sh hold feed    those with one of these words in their names
#   BOTH=1 tools/mutate-tcp.sh       test_tcp_model as well where test_tcp has failed
#
# A line is a name and a sed -E script. One that changes nothing, or does not compile, is an error: the header has moved
# on and the list has to follow. Mutations that make no difference (an edge where both branches agree) are not listed.
set -euo pipefail
cd "$(dirname "$0")/.."

mutations() {
    cat <<'END'
before-unsigned          s@\(__s32\)\(a - b\) < 0@a < b@
before-signed            s@\(__s32\)\(a - b\) < 0@(__s32)a < (__s32)b@
before-or-equal          s@\(__s32\)\(a - b\) < 0@(__s32)(a - b) <= 0@
ack-inside-reply         s@wc_after\(ack, end - x->reply_len\)@0@
ack-before-reply         s@ack - x->dout \+ x->reply_len@ack - x->dout@
ack-no-exchange          s@!wc_xlat_open\(x\) \|\| !wc_before\(ack, end\)@!wc_before(ack, end)@
seq-empty-moves          s@if \(wc_xlat_open\(x\) && !occupies@if (0@
seq-data-stays           s@wc_xlat_open\(x\) && !occupies@wc_xlat_open(x)@
seq-fin-stays            s@bool occupies = s->len .*;@bool occupies = s->len;@
seq-empty-edge           s@!occupies && !wc_after\(seq, start\)@!occupies \&\& wc_before(seq, start)@
seq-empty-inside         s@!occupies && !wc_after\(seq, start\)@!occupies \&\& !wc_after(seq, start + x->req_len)@
out-seq-old              s@seq \+ x->dout - x->reply_len@seq + x->dout@
out-seq-edge             s@wc_before\(seq, x->inj_out\)@!wc_after(seq, x->inj_out)@
out-ack-old              s@ack \+ x->din - x->req_len@ack + x->din@
hold-never               s@if \(hold\)@if (0)@
hold-always              s@if \(hold\)@if (1)@
hold-empty-only          s@bool hold = .*;@bool hold = !s->len \&\& !(s->flags \& (WC_RST | WC_FIN));@
hold-rst                 s@bool hold = !\(s->flags & WC_RST\) && @bool hold = @
hold-edge                s@hold = (.*)!wc_after\(end,@hold = \1wc_before(end,@
hold-fin                 /^WC_INLINE __u32 wc_tcp_egress/,/^}/s@ \+ !!\(s->flags & WC_FIN\)@@
hold-history             s@^    if \(wc_xlat_open\(x\)\) \{@    if (1) {@
accept-beyond-window     s@!wc_before\(end, t->srv_ack\) && .*;@!wc_before(end, t->srv_ack);@
accept-window-edge       s@!wc_after\(seq, t->rcv_edge\);@wc_before(seq, t->rcv_edge);@
accept-old               s@return !wc_before\(end, t->srv_ack\) && @return @
accept-old-edge          s@return !wc_before\(end, t->srv_ack\)@return wc_after(end, t->srv_ack)@
accept-silent            /^WC_INLINE bool wc_tcp_acceptable/,/^}/s@if \(!t->spoken\)@if (0)@
accept-silent-any        s@return !wc_before\(end, t->base_in\)@return true@
open-fed-ack             s@t->base_out = t->snd_nxt = t->fed_ack = snd_nxt@t->base_out = t->snd_nxt = snd_nxt@
open-edge                s@t->srv_ack = t->rcv_edge = rcv_nxt@t->srv_ack = rcv_nxt@
close-never              s@t->x.req_len = t->x.reply_len = 0@(void)t@
close-half               s@!wc_before\(ack, t->x.inj_out \+ t->x.dout\)@wc_after(ack, t->x.inj_out + t->x.dout - t->x.reply_len)@
close-late               s@!wc_before\(ack, t->x.inj_out \+ t->x.dout\)@wc_after(ack, t->x.inj_out + t->x.dout)@
close-not-on-pass        /^WC_INLINE void wc_tcp_track_in/,/^}/s@wc_tcp_acked\(t, s->ack\)@(void)t@
close-not-on-drop        /^WC_INLINE __u32 wc_tcp_ingress/,/^}/s@wc_tcp_acked\(t, s->ack\)@(void)t@
close-if-acceptable      s@!wc_before\(seq \+ 1, t->x.inj_in\) && !wc_after\(seq, t->rcv_edge\)@wc_tcp_acceptable(t, seq, end)@
close-not-by-probe       s@!wc_before\(seq \+ 1, t->x.inj_in\)@!wc_before(seq, t->x.inj_in)@
close-by-old             s@!wc_before\(seq \+ 1, t->x.inj_in\) && @@
close-beyond-window      s@(seq \+ 1, t->x.inj_in\)) && !wc_after\(seq, t->rcv_edge\)@\1@
close-without-ack        s@\(s->flags & WC_ACK\) && !wc_before\(seq \+ 1@!wc_before(seq + 1@
imitate-window           s@out->window = t->srv_window@out->window = 1@
imitate-hop-limit        s@out->hop_limit = t->hop_limit@out->hop_limit = 64 - !t->hop_limit@
imitate-flow             s@out->flow = t->flow@out->flow = 7 - !t->flow@
imitate-clock            s@out->tsval = s->clock \+ t->ts_offset@out->tsval = t->ts_offset@
imitate-offset           s@out->tsval = s->clock \+ t->ts_offset@out->tsval = s->clock@
replay-no-data           s@return wc_before\(s->seq, req_end\) && .*;@return false;@
replay-data-behind       s@return wc_before\(s->seq, req_end\) && @return @
replay-data-before       s@return wc_before\(s->seq, req_end\) && .*;@return wc_before(s->seq, req_end);@
replay-data-edge-behind  s@return wc_before\(s->seq, req_end\)@return !wc_after(s->seq, req_end)@
replay-data-edge-before  s@wc_after\(s->seq \+ s->len, req_end@!wc_before(s->seq + s->len, req_end@
replay-no-ack            s@return !\(s->flags & WC_FIN\) && .*;@return false;@
replay-no-probe          s@!wc_before\(s->seq \+ 1, req_end\)@!wc_before(s->seq, req_end)@
replay-older             s@!wc_before\(s->seq \+ 1, req_end\)@!wc_before(s->seq + 2, req_end)@
replay-fin               s@return !\(s->flags & WC_FIN\) && @return @
replay-beyond-window     s@ && !wc_after\(s->seq - t->x.din, t->rcv_edge\)@@
replay-into-window       s@if \(\(__u32\)s->window << t->cli_wscale < t->x.reply_len - has\)@if (0)@
replay-window-unscaled   s@\(__u32\)s->window << t->cli_wscale < t->x.reply_len@s->window < t->x.reply_len@
replay-window-edge       s@s->window << t->cli_wscale < t->x.reply_len@s->window << t->cli_wscale <= t->x.reply_len@
replay-window-whole      s@t->x.reply_len - has\)@t->x.reply_len)@
replay-any-ack           s@\|\| has >= t->x.reply_len @@
replay-whole-only        s@has >= t->x.reply_len@has@
replay-arrived           s@has >= t->x.reply_len@has > t->x.reply_len@
replay-seq               /^WC_INLINE __u32 wc_tcp_ingress/,/^}/s@out->seq = t->x.inj_out .*;@out->seq = s->ack;@
replay-rst               s@ \|\| \(s->flags & WC_RST\)\)$@)@
replay-without-ack       s@ \|\| !\(s->flags & WC_ACK\) \|\| \(s->flags & WC_RST\)@ || (s->flags \& WC_RST)@
replay-plain-only        s@if \(wc_tcp_wants_replay@if (s->plain \&\& wc_tcp_wants_replay@
replay-open-only         s@if \(wc_tcp_wants_replay@if (t->state == WC_TCP_OPEN \&\& wc_tcp_wants_replay@
replay-acks-less         s@if \(wc_after\(srv_ack, out->ack\)\)@if (0)@
replay-acks-stack        s@if \(wc_after\(srv_ack, out->ack\)\)@if (1)@
answer-closing           s@t->state != WC_TCP_OPEN\)@0)@
answer-silent            /^WC_INLINE __u32 wc_tcp_refuse/,/^}/s@if \(!t->spoken\)@if (0)@
answer-behind-hole       s@seq != t->fwd_nxt \|\| seq != @seq != @
answer-not-executed      s@seq != t->fwd_nxt \|\| .*\)@seq != t->fwd_nxt)@
answer-unsent            s@ack != t->snd_nxt \|\| ack != @ack != @
answer-unproduced        s@ack != t->snd_nxt \|\| .*\)@ack != t->snd_nxt)@
answer-no-timestamp      s@if \(s->ts != t->ts_on \|\| \(s->ts && @if ((s->ts \&\& @
answer-old-timestamp     s@s->ts != t->ts_on \|\| .*\)@s->ts != t->ts_on)@
answer-same-timestamp    s@wc_before\(s->tsval, t->ts_recent\)@!wc_after(s->tsval, t->ts_recent)@
answer-window            s@\(__u32\)s->window << t->cli_wscale < o->reply_len@0@
answer-window-unscaled   s@\(__u32\)s->window << t->cli_wscale < o->reply_len@s->window < o->reply_len@
answer-window-16-bit     s@\(__u32\)s->window << t->cli_wscale < o->reply_len@(__u16)(s->window << t->cli_wscale) < o->reply_len@
answer-segment           s@if \(o->reply_len > t->mss\)@if (0)@
answer-segment-edge      s@if \(o->reply_len > t->mss\)@if (o->reply_len >= t->mss)@
answer-xdp-unfed         s@if \(o->xdp && ack != t->fed_ack\)@if (0)@
answer-tc-unfed          s@if \(o->xdp && ack != t->fed_ack\)@if (ack != t->fed_ack)@
answer-before-replay     s@if \(wc_tcp_wants_replay@if (!o->reply_len \&\& wc_tcp_wants_replay@
commit-no-feed           s@bool feed = t->fed_ack != t->snd_nxt@bool feed = false@
commit-feeds-always      s@bool feed = t->fed_ack != t->snd_nxt@bool feed = true@
commit-feed-forgotten    s@out->feed_ack = t->fed_ack = t->snd_nxt@out->feed_ack = t->snd_nxt@
commit-feed-window       /^WC_INLINE __u32 wc_tcp_commit/,/^}/s@t->fed_window = s->window@(void)t@
commit-feed-seq          s@out->feed_seq = t->fwd_nxt@out->feed_seq = t->fwd_nxt + s->len@
commit-no-din            s@t->x.din \+= s->len@(void)t@
commit-no-dout           s@t->x.dout \+= o->reply_len@(void)t@
commit-din-set           s@t->x.din \+= s->len@t->x.din = s->len@
commit-inj-in            s@t->x.inj_in = t->fwd_nxt@t->x.inj_in = t->srv_ack@
commit-inj-out           s@t->x.inj_out = t->snd_nxt@t->x.inj_out = t->fed_ack@
commit-tracks            s@t->x.inj_in = t->fwd_nxt@t->x.inj_in = t->fwd_nxt, t->fwd_nxt += s->len@
commit-timestamp         /^WC_INLINE __u32 wc_tcp_commit/,/^}/s@t->ts_recent = s->tsval@(void)t@
commit-ack               s@out->ack = s->seq \+ s->len@out->ack = s->seq@
in-rst-any               s@if \(seq == t->fwd_nxt \|\| seq == t->srv_ack\)@if (1)@
in-rst-next-only         s@if \(seq == t->fwd_nxt \|\| seq == t->srv_ack\)@if (seq == t->fwd_nxt)@
in-rst-ack-only          s@if \(seq == t->fwd_nxt \|\| seq == t->srv_ack\)@if (seq == t->srv_ack)@
in-ack-of-unsent         s@\(s->flags & WC_ACK\) && wc_after\(ack, t->snd_nxt\)@0@
in-ack-of-all            s@wc_after\(ack, t->snd_nxt\)@!wc_before(ack, t->snd_nxt)@
in-fwd-nxt-in-order      s@if \(wc_after\(end, t->fwd_nxt\)\)@if (in_order \&\& wc_after(end, t->fwd_nxt))@
in-fwd-nxt-less          /^WC_INLINE void wc_tcp_track_in/,/^}/s@t->fwd_nxt = end@t->fwd_nxt = end - 1@
in-fwd-nxt-back          s@if \(wc_after\(end, t->fwd_nxt\)\)@if (1)@
in-fin-uncounted         /^WC_INLINE void wc_tcp_track_in/,/^}/s@ \+ !!\(s->flags & WC_FIN\)@@
in-fin-open              /^WC_INLINE void wc_tcp_track_in/,/^}/s@if \(s->flags & WC_FIN\)@if (0)@
in-tracks-anything       s@if \(!wc_tcp_acceptable\(t, seq, end\)\)@if (0)@
in-timestamp-any         s@if \(in_order && s->ts\)@if (s->ts)@
in-timestamp-missing     s@if \(in_order && s->ts\)@if (in_order)@
in-timestamp-never       s@if \(in_order && s->ts\)@if (0)@
in-fed-ack-back          s@if \(wc_after\(ack, t->fed_ack\)\)@if (1)@
in-fed-ack-never         s@if \(wc_after\(ack, t->fed_ack\)\)@if (0)@
in-fed-window            /^WC_INLINE void wc_tcp_track_in/,/^}/s@t->fed_window = s->window@(void)t@
in-probed-stays          s@t->probed = 0@(void)t@
in-without-ack           /^    if \(s->flags & WC_ACK\) \{/s@s->flags & WC_ACK@1@
idle-options             s@return s->plain && !s->len@return !s->len@
idle-data                s@return s->plain && !s->len && @return s->plain \&\& @
idle-flags               s@ && s->flags == WC_ACK && t->state@ \&\& (s->flags \& WC_ACK) \&\& t->state@
idle-closing             s@ && t->state == WC_TCP_OPEN && t->spoken@ \&\& t->spoken@
idle-silent              s@ && t->spoken && seq@ \&\& seq@
idle-seq                 s@seq == t->fwd_nxt &&$@seq - t->fwd_nxt + 1 <= 1 \&\&@
idle-seq-further         s@seq == t->fwd_nxt &&$@!wc_before(seq, t->fwd_nxt) \&\&@
idle-unfed               s@ack == t->fed_ack && ack@ack@
idle-unsent              s@ && ack == t->snd_nxt@@
idle-window              s@ && s->window == t->fed_window@@
idle-probed              s@ && !t->probed@@
idle-never               s@if \(wc_tcp_is_idle_ack@if (0 \&\& wc_tcp_is_idle_ack@
syn-in                   s@ \|\| \(s->flags & WC_SYN\)\)$@)@
void-in                  s@if \(t->state == WC_TCP_NEW \|\| \(s@if ((s@
void-out                 /^WC_INLINE __u32 wc_tcp_egress/,/^}/s@if \(t->state == WC_TCP_NEW\)@if (0)@
xdp-tracks               /^WC_INLINE __u32 wc_tcp_ingress/,/^}/s@if \(o->xdp\)@if (0)@
pass-ack-field           s@out->ack = \(s->flags & WC_ACK\) \? ack : s->ack@out->ack = ack@
pass-no-tracking         s@wc_tcp_track_in\(t, s, seq, ack\);@;@
pass-xlat-late           /^WC_INLINE __u32 wc_tcp_ingress/,/^}/{/out->x = t->x;/d;s@(wc_tcp_track_in\(.*;)@\1 out->x = t->x;@}
pass-refusal             s@out->refusal = WC_REFUSED_NOT;@@
out-fin-open             s@if \(s->flags & \(WC_FIN \| WC_RST\)\)@if (s->flags \& WC_RST)@
out-rst-open             s@if \(s->flags & \(WC_FIN \| WC_RST\)\)@if (s->flags \& WC_FIN)@
out-rst-tracked          s@if \(\(s->flags & WC_RST\) \|\| !\(s->flags & WC_ACK\)\)@if (!(s->flags \& WC_ACK))@
out-without-ack          s@if \(\(s->flags & WC_RST\) \|\| !\(s->flags & WC_ACK\)\)@if (s->flags \& WC_RST)@
out-probed-never         s@t->probed = 1@(void)t@
out-probed-always        s@if \(wc_before\(s->seq, t->snd_nxt\)\)@if (1)@
out-probed-edge          s@if \(wc_before\(s->seq, t->snd_nxt\)\)@if (!wc_after(s->seq, t->snd_nxt))@
out-fin-uncounted        /^WC_INLINE void wc_tcp_track_out/,/^}/s@ \+ !!\(s->flags & WC_FIN\)@@
out-snd-nxt              s@t->snd_nxt = end@(void)t@
out-snd-nxt-back         s@if \(wc_after\(end, t->snd_nxt\)\)@if (1)@
out-srv-ack              s@t->srv_ack = s->ack@(void)t@
out-srv-ack-back         s@if \(wc_after\(s->ack, t->srv_ack\)\)@if (1)@
out-fwd-nxt              s@t->fwd_nxt = s->ack@(void)t@
out-fwd-nxt-back         s@if \(wc_after\(s->ack, t->fwd_nxt\)\)@if (1)@
out-edge                 s@t->rcv_edge = edge@(void)t@
out-edge-back            s@if \(wc_after\(edge, t->rcv_edge\)\)@if (1)@
out-edge-unscaled        s@\(\(__u32\)s->window << t->srv_wscale\)@s->window@
out-edge-client-scale    s@\(\(__u32\)s->window << t->srv_wscale\)@((__u32)s->window << t->cli_wscale)@
out-edge-16-bit          s@\(\(__u32\)s->window << t->srv_wscale\)@(__u16)(s->window << t->srv_wscale)@
out-ts-first             s@if \(!t->ts_on \|\| wc_after@if (wc_after@
out-ts-smaller           s@if \(!t->ts_on \|\| wc_after.*@if (1)@
out-ts-larger            s@if \(!t->ts_on \|\| wc_after.*@if (!t->ts_on)@
out-ts-off               s@^    if \(s->ts\) \{@    t->ts_on = 0; if (s->ts) {@
out-ts-never             s@t->ts_on = 1@(void)t@
out-window               s@t->srv_window = s->window@(void)t@
out-hop-limit            s@t->hop_limit = s->hop_limit@(void)t@
out-flow                 s@t->flow = s->flow@(void)t@
out-spoken               s@t->spoken = 1@(void)t@
out-no-tracking          s@^    wc_tcp_track_out\(t, s\);@@
out-syn-void             /^WC_INLINE __u32 wc_tcp_egress/,/^}/s@if \(s->flags & WC_ACK\)@if (1)@
out-syn-ack-open         /^WC_INLINE __u32 wc_tcp_egress/,/^}/s@t->state = WC_TCP_NEW@(void)t@
out-syn                  /^WC_INLINE __u32 wc_tcp_egress/,/^}/s@if \(s->flags & WC_SYN\) \{@if (0) {@
out-fed-ack              s@t->fed_ack = s->seq@(void)t@
out-fed-ack-empty        s@if \(s->len && wc_before\(s->seq, t->fed_ack\)\)@if (wc_before(s->seq, t->fed_ack))@
out-fed-ack-forward      s@if \(s->len && wc_before\(s->seq, t->fed_ack\)\)@if (s->len)@
span-passes              s@if \(wc_xlat_open\(&t->x\) && s->len && @if (0 \&\& @
span-history             s@if \(wc_xlat_open\(&t->x\) && s->len && @if (s->len \&\& @
span-edge-before         s@s->len && wc_before\(s->seq, t->x.inj_out\)@s->len \&\& !wc_after(s->seq, t->x.inj_out)@
span-edge-behind         s@ && wc_after\(end, t->x.inj_out\)\)@ \&\& !wc_before(end, t->x.inj_out))@
out-ack-field            s@out->ack = \(s->flags & WC_ACK\) \? wc_ack_to_client@out->ack = 1 ? wc_ack_to_client@
END
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compile=(gcc -std=gnu11 -O1 -w -D_GNU_SOURCE "-I$work" -Iinclude -Itests/lib)

build_tables() {
    "${compile[@]}" -o "$work/tables" tests/unit/test_tcp.c tests/lib/tcp_model_step.c -lcmocka
}

build_model() {
    "${compile[@]}" -o "$work/model" tests/unit/test_tcp_model.c tests/lib/tcp_model{,_path}.c "$work"/{cfg,peer}.o \
        -lcmocka
}

fails() { # program; one that does not end has failed too
    ! WC_MODEL_SHRINK=0 timeout 60 "$work/$1" >/dev/null 2>&1
}

wanted() { # name word...
    local name=$1 word
    shift
    (($#)) || return 0
    for word; do [[ $name != *"$word"* ]] || return 0; done
    return 1
}

for part in cfg peer; do # they do not see the header
    "${compile[@]}" -c -o "$work/$part.o" "tests/lib/tcp_model_$part.c"
done
build_tables
build_model
if fails tables || fails model; then
    echo "the tests fail as it is"
    exit 1
fi

caught=0 stale=0 missed=0
while read -r name script; do
    wanted "$name" "$@" || continue
    sed -E "$script" include/wc_tcp.h >"$work/wc_tcp.h"
    if cmp -s include/wc_tcp.h "$work/wc_tcp.h" || ! build_tables 2>/dev/null; then
        printf '%-26sDOES NOT APPLY\n' "$name"
        stale=$((stale + 1))
        continue
    fi
    by=
    if fails tables; then by=test_tcp; fi
    if [[ -z $by || -n ${BOTH:-} ]]; then
        build_model
        if fails model; then by+=" test_tcp_model"; fi
    fi
    printf '%-26s%s\n' "$name" "${by:-NOT CAUGHT}"
    if [[ $by ]]; then caught=$((caught + 1)); else missed=$((missed + 1)); fi
done < <(mutations)

echo "$caught caught, $missed not caught, $stale do not apply"
((missed == 0 && stale == 0))
