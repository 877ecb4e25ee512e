#!/usr/bin/env bash
# Makes vmlinux/vmlinux.h from the running kernel's BTF: only the types that bpf/ uses and what those need.
# A new type in bpf/ is added to a list below, then: tools/gen-vmlinux.sh
set -euo pipefail
export PATH="$PATH:/usr/sbin"
cd "$(dirname "$0")/.."

# Whole types of the stable kernel ABI. What they contain by value follows by itself.
types=(
    __s8 __u8 __s16 __u16 __s32 __u32 __s64 __u64
    s8 u8 s16 u16 s32 u32 s64 u64 bool
    __be16 __be32 __be64 __sum16 __wsum
    "struct __sk_buff" "struct xdp_md" "struct bpf_sock_ops" "struct bpf_sock"
    "struct ethhdr" "struct iphdr" "struct ipv6hdr" "struct tcphdr"
    "struct bpf_spin_lock"
    "enum bpf_map_type" "enum xdp_action"
)

# Unnamed enums, each found by one of its constants.
enums=(
    BPF_ANY                  # map update flags
    BPF_F_NO_PREALLOC        # map creation flags
    BPF_F_INGRESS            # redirect
    BPF_F_RECOMPUTE_CSUM     # skb_store_bytes
    BPF_F_PSEUDO_HDR         # l4_csum_replace
    BPF_SOCK_OPS_VOID        # sock_ops callbacks
    BPF_SOCK_OPS_RTO_CB_FLAG # and which of them to ask for
    BPF_TCP_ESTABLISHED      # TCP states
    IPPROTO_TCP
)

# Kernel-internal types: only the fields read, found on the running kernel by CO-RE.
partial=(
    "struct tcp_sock:tcp_usec_ts,rx_opt"
    "struct tcp_options_received:tstamp_ok,wscale_ok,snd_wscale,rcv_wscale"
)

args=()
for t in "${types[@]}"; do args+=(--type "$t"); done
for e in "${enums[@]}"; do args+=(--enum-with "$e"); done
for p in "${partial[@]}"; do args+=(--partial "$p"); done

new=$(mktemp)
trap 'rm -f "$new"' EXIT
bpftool btf dump file /sys/kernel/btf/vmlinux format c | python3 tools/btf-pick.py "${args[@]}" >"$new"
mkdir -p vmlinux
cat "$new" >vmlinux/vmlinux.h
