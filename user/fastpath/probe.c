/* Probing a host: each check has one line for what it found and, if need be, what to do about it. */
#include "probe.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "internal.h"

/* The largest reply in one IPv4 or IPv6 packet with timestamps. */
#define WC_REPLY_MTU (40 + 32 + WC_REPLY_MAX)

struct wc_probe {
    void (*fn)(void *arg, enum wc_finding finding, const char *text);
    void *arg;
    int problems;
};

static void __attribute__((format(printf, 3, 4)))
wc_report(struct wc_probe *p, enum wc_finding finding, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    p->problems += finding == WC_FINDING_PROBLEM;
    p->fn(p->arg, finding, text);
}

static void wc_probe_kernel(struct wc_probe *p)
{
    struct utsname u;
    unsigned major = 0, minor = 0;

    uname(&u);
    sscanf(u.release, "%u.%u", &major, &minor);
    if (major > 6 || (major == 6 && minor >= 6))
        wc_report(p, WC_FINDING_OK, "kernel %s: TC through TCX links", u.release);
    else
        wc_report(p, WC_FINDING_NOTE, "kernel %s: no TCX before 6.6, TC goes through clsact filters", u.release);
    if (access("/sys/kernel/btf/vmlinux", R_OK))
        wc_report(p, WC_FINDING_PROBLEM, "no /sys/kernel/btf/vmlinux: the kernel needs CONFIG_DEBUG_INFO_BTF");
}

static void wc_probe_jit(struct wc_probe *p)
{
    FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
    int on = 1;

    if (!f)
        return;
    if (fscanf(f, "%d", &on) == 1 && !on)
        wc_report(p, WC_FINDING_NOTE, "the BPF JIT is off: sysctl net.core.bpf_jit_enable=1");
    fclose(f);
}

/* Loads the programs as the server would, and unloads them. */
static void wc_probe_load(struct wc_probe *p, const struct wc_config *cfg)
{
    struct wc_config small = *cfg;
    char reason[WC_REASON_MAX] = "";
    struct wc_rodata options;
    struct wc_kernel kernel;

    small.fastpath_hot_keys = small.maxclients = 16;
    if (!wc_kernel_options(&small, &options, reason) && !wc_kernel_load(&kernel, &small, &options, reason)) {
        wc_report(p, WC_FINDING_OK, "the verifier takes the BPF programs");
        wc_kernel_unload(&kernel);
        return;
    }
    wc_report(p, WC_FINDING_PROBLEM, "%s", reason);
}

static void wc_probe_driver(struct wc_probe *p, int fd, const char *name)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
    struct ifreq ifr = {0};

    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    ifr.ifr_data = (void *)&info;
    if (ioctl(fd, SIOCETHTOOL, &ifr))
        return;
    if (!strcmp(info.driver, "veth"))
        wc_report(p, WC_FINDING_NOTE,
                  "%s: veth drops native XDP replies unless its peer has an XDP program too (one that passes will do)",
                  name);
    if (!strcmp(info.driver, "virtio_net"))
        wc_report(p, WC_FINDING_NOTE, "%s: virtio_net needs a transmit queue per CPU for native XDP, and no host LRO",
                  name);
    ifr.ifr_data = (void *)&flags;
    if (!ioctl(fd, SIOCETHTOOL, &ifr) && (flags.data & ETH_FLAG_LRO))
        wc_report(p, WC_FINDING_NOTE, "%s: LRO is on, native XDP will be refused: ethtool -K %s lro off", name, name);
}

static void wc_probe_interface(struct wc_probe *p, const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};

    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr)) {
        wc_report(p, WC_FINDING_PROBLEM, "%s: %s", name, strerror(errno));
    } else if (ifr.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK) {
        wc_report(p, WC_FINDING_OK, "%s: loopback, TC (generic XDP would slow everybody's packets)", name);
    } else if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
        wc_report(p, WC_FINDING_PROBLEM, "%s: not an Ethernet link, cannot be accelerated", name);
    } else {
        wc_report(p, WC_FINDING_OK, "%s: Ethernet, native XDP where the driver has it, else TC", name);
        if (!ioctl(fd, SIOCGIFMTU, &ifr) && ifr.ifr_mtu < WC_REPLY_MTU)
            wc_report(p, WC_FINDING_NOTE, "%s: MTU %d: replies longer than that are left to userspace", name,
                      ifr.ifr_mtu);
        if (!ioctl(fd, SIOCGIFFLAGS, &ifr) && !(ifr.ifr_flags & IFF_UP))
            wc_report(p, WC_FINDING_NOTE, "%s: is down", name);
        wc_probe_driver(p, fd, name);
    }
    if (fd >= 0)
        close(fd);
}

int wc_probe(const struct wc_config *cfg, void (*fn)(void *arg, enum wc_finding finding, const char *text), void *arg)
{
    struct wc_probe p = {.fn = fn, .arg = arg};
    char names[WC_CONFIG_STR], *save = NULL;

    wc_probe_kernel(&p);
    wc_probe_jit(&p);
    wc_probe_load(&p, cfg);
    snprintf(names, sizeof(names), "%s", cfg->fastpath_interfaces);
    for (char *name = strtok_r(names, " ,", &save); name; name = strtok_r(NULL, " ,", &save))
        wc_probe_interface(&p, name);
    return p.problems;
}
