/* Lets everything through. A veth end without an XDP program drops what the other end sends by XDP_TX. Also the probe
 * for the right to load BPF programs at all. */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
    (void)ctx;
    return XDP_PASS;
}
