/* Hooks. Links are pinned: when the process dies the programs stay until the next start removes them, so that the FINs
 * and RSTs of a killed server's sockets, and their retransmissions, are still translated into client space.
 *
 *   <fastpath-pin-dir>/<port>/          (<port>@<netns inode> outside the initial network namespace)
 *       hot_keys hot_values ...         the maps
 *       tc_in-<if> tc_out-<if>          TCX links
 *       sock_ops                        cgroup link
 *
 * An XDP program stays attached whether pinned or not; a predecessor's is known by the port in its options.
 */
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "log.h"
#include "wirecache.skel.h"
#include "xdp.skel.h"

/* linux/bpf.h of Debian 12 does not have these yet; kernel 6.6 does. */
#define WC_TCX_INGRESS 46
#define WC_TCX_EGRESS  47

#define WC_BPFFS       "/sys/fs/bpf"
#define WC_BPFFS_MAGIC 0xcafe4a11

#define WC_FSCONFIG_CMD_CREATE 6

#define WC_CLSACT_PRIORITY 0xc000

/* ---- places ---- */

static bool wc_is_bpffs(const char *path)
{
    struct statfs fs;

    return !statfs(path, &fs) && (unsigned long)fs.f_type == WC_BPFFS_MAGIC;
}

void wc_attach_init(struct wc_attach *a, const struct wc_config *cfg)
{
    struct stat own, init;

    memset(a, 0, sizeof(*a));
    a->sock_ops_link = -1;
    if (!wc_is_bpffs(WC_BPFFS) && !strncmp(cfg->fastpath_pin_dir, WC_BPFFS, strlen(WC_BPFFS)))
        if (mount("bpf", WC_BPFFS, "bpf", 0, "mode=0700"))
            wc_log(WC_LOG_DEBUG, "fast path: cannot mount bpffs on " WC_BPFFS ": %s", strerror(errno));
    /* Which namespace init is in may be a secret (hidepid, capabilities): then the name says which one ours is. */
    if (stat("/proc/self/ns/net", &own) || (!stat("/proc/1/ns/net", &init) && own.st_ino == init.st_ino))
        snprintf(a->pin_dir, sizeof(a->pin_dir), "%s/%d", cfg->fastpath_pin_dir, cfg->port);
    else
        snprintf(a->pin_dir, sizeof(a->pin_dir), "%s/%d@%lu", cfg->fastpath_pin_dir, cfg->port,
                 (unsigned long)own.st_ino);
}

int wc_pin_path(const struct wc_attach *a, const char *name, const char *ifname, char *buf, size_t len)
{
    return snprintf(buf, len, "%s/%s%s%s", a->pin_dir, name, *ifname ? "-" : "", ifname);
}

static void wc_pin(struct wc_attach *a, int fd, const char *name, const char *ifname)
{
    char path[WC_CONFIG_STR + 128];

    if (!a->pinned)
        return;
    wc_pin_path(a, name, ifname, path, sizeof(path));
    if (bpf_obj_pin(fd, path))
        wc_log(WC_LOG_WARNING, "fast path: cannot pin %s: %s", path, strerror(errno));
}

static void wc_unpin(const struct wc_attach *a, const char *name, const char *ifname)
{
    char path[WC_CONFIG_STR + 128];

    wc_pin_path(a, name, ifname, path, sizeof(path));
    unlink(path);
}

static void wc_pin_maps(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg)
{
    struct bpf_map *map;

    mkdir(cfg->fastpath_pin_dir, 0700);
    if (mkdir(a->pin_dir, 0700) && errno != EEXIST) {
        wc_log(WC_LOG_WARNING, "fast path: cannot make %s: %s; nothing is pinned", a->pin_dir, strerror(errno));
        return;
    }
    a->pinned = wc_is_bpffs(a->pin_dir);
    bpf_object__for_each_map(map, k->skel->obj)
    {
        if (!bpf_map__is_internal(map) && strcmp(bpf_map__name(map), "scratch"))
            wc_pin(a, bpf_map__fd(map), bpf_map__name(map), "");
    }
}

/* ---- sock_ops ---- */

/* The root of cgroup2, mounted or not: a mount of our own that has no place in the file system. */
static int wc_cgroup_root(void)
{
    int fs = syscall(SYS_fsopen, "cgroup2", 1 /* FSOPEN_CLOEXEC */), fd = -1, err;

    if (fs < 0)
        return -errno;
    if (!syscall(SYS_fsconfig, fs, WC_FSCONFIG_CMD_CREATE, NULL, NULL, 0))
        fd = syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
    err = errno;
    close(fs);
    return fd < 0 ? -err : fd;
}

static int wc_attach_sock_ops(struct wc_attach *a, struct wc_kernel *k, char *reason)
{
    int cgroup = wc_cgroup_root(), rc = 0;

    if (cgroup < 0) {
        snprintf(reason, WC_REASON_MAX, "cannot open the cgroup2 hierarchy: %s", strerror(-cgroup));
        return cgroup;
    }
    a->sock_ops_link = bpf_link_create(bpf_program__fd(k->skel->progs.wc_sock_ops), cgroup, BPF_CGROUP_SOCK_OPS, NULL);
    if (a->sock_ops_link < 0) {
        rc = -errno;
        snprintf(reason, WC_REASON_MAX, "cannot attach sock_ops to the root cgroup: %s", strerror(errno));
        a->sock_ops_link = -1;
    } else {
        wc_pin(a, a->sock_ops_link, "sock_ops", "");
    }
    close(cgroup);
    return rc;
}

/* ---- TC ---- */

/* Kernels before 6.6: a filter on the clsact qdisc. Handle and priority are fixed, so that the next start replaces what
 * a crashed process left. */
static void wc_clsact_opts(const struct wc_config *cfg, struct bpf_tc_opts *opts)
{
    opts->handle = cfg->port;
    opts->priority = WC_CLSACT_PRIORITY;
}

static int wc_clsact_attach(struct wc_hook *h, const struct wc_config *cfg, enum bpf_tc_attach_point point, int prog)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)h->ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .flags = BPF_TC_F_REPLACE);
    int rc = bpf_tc_hook_create(&hook);

    if (rc && rc != -EEXIST)
        return rc;
    wc_clsact_opts(cfg, &opts);
    rc = bpf_tc_attach(&hook, &opts);
    h->clsact |= !rc;
    return rc;
}

/* The qdisc stays: somebody else may have put filters there meanwhile. */
static void wc_clsact_detach(const struct wc_hook *h, const struct wc_config *cfg)
{
    enum bpf_tc_attach_point points[2] = {BPF_TC_INGRESS, BPF_TC_EGRESS};

    for (int i = 0; i < 2; i++) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)h->ifindex, .attach_point = points[i]);
        LIBBPF_OPTS(bpf_tc_opts, opts);

        wc_clsact_opts(cfg, &opts);
        bpf_tc_detach(&hook, &opts);
    }
}

static int wc_attach_tc(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, struct wc_hook *h)
{
    int rc;
    int progs[2] = {bpf_program__fd(k->skel->progs.wc_tc_in), bpf_program__fd(k->skel->progs.wc_tc_out)};
    int types[2] = {WC_TCX_INGRESS, WC_TCX_EGRESS};
    const char *names[2] = {"tc_in", "tc_out"};

    for (int i = 1; i >= 0; i--) { /* egress first: nothing is answered before both directions are tracked */
        h->links[i] = bpf_link_create(progs[i], h->ifindex, types[i], NULL);
        if (h->links[i] >= 0) {
            wc_pin(a, h->links[i], names[i], h->name);
            continue;
        }
        rc = wc_clsact_attach(h, cfg, i ? BPF_TC_EGRESS : BPF_TC_INGRESS, progs[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- XDP ---- */

static int wc_attach_xdp(struct wc_kernel *k, struct wc_hook *h)
{
    struct xdp_bpf *skel = xdp_bpf__open();
    struct xdp_program *prog = NULL;
    int rc;

    if (!skel)
        return -errno;
    skel->rodata->wc_cfg = k->skel->rodata->wc_cfg;
    rc = wc_kernel_share(k, skel->obj);
    if (!rc) {
        DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = skel->obj, .prog_name = "wc_xdp");

        prog = xdp_program__create(&opts);
        rc = libxdp_get_error(prog);
        if (rc)
            prog = NULL;
    }
    if (!rc)
        rc = xdp_program__attach(prog, h->ifindex, XDP_MODE_NATIVE, 0);
    if (rc) {
        if (prog)
            xdp_program__close(prog);
        xdp_bpf__destroy(skel);
        return rc;
    }
    h->xdp = prog;
    h->xdp_skel = skel;
    return 0;
}

/* ---- all of it ---- */

/* The link types whose frames the programs can turn round. */
static int wc_attach_check_link(const char *name, char *reason)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
    rc = ioctl(fd, SIOCGIFHWADDR, &ifr) ? -errno : 0;
    close(fd);
    if (rc) {
        snprintf(reason, WC_REASON_MAX, "%s: %s", name, strerror(-rc));
        return rc;
    }
    if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER && ifr.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
        snprintf(reason, WC_REASON_MAX, "%s: not an Ethernet link", name);
        return -EOPNOTSUPP;
    }
    return 0;
}

/* A bond and its port, a bridge and its member: a packet passes both, and would be translated twice. */
static int wc_attach_check_stack(const struct wc_attach *a, const char *name, char *reason)
{
    for (int i = 0; i < a->nhooks; i++) {
        const char *other = a->hooks[i].name, *sides[2] = {"upper", "lower"};

        for (int side = 0; side < 2; side++) {
            char path[128];

            snprintf(path, sizeof(path), "/sys/class/net/%.16s/%s_%.16s", name, sides[side], other);
            if (access(path, F_OK))
                continue;
            snprintf(reason, WC_REASON_MAX, "%s: stacked with %s, which is served already", name, other);
            return -EBUSY;
        }
    }
    return 0;
}

static void wc_hook_detach(struct wc_attach *a, const struct wc_config *cfg, struct wc_hook *h)
{
    if (h->xdp) {
        int rc = xdp_program__detach(h->xdp, h->ifindex, XDP_MODE_NATIVE, 0);

        if (rc)
            wc_log(WC_LOG_WARNING, "fast path: cannot detach XDP from %s: %s", h->name, strerror(-rc));
        xdp_program__close(h->xdp);
        xdp_bpf__destroy(h->xdp_skel);
    }
    for (int i = 0; i < 2; i++) {
        wc_unpin(a, i ? "tc_out" : "tc_in", h->name);
        if (h->links[i] >= 0)
            close(h->links[i]);
    }
    if (h->clsact)
        wc_clsact_detach(h, cfg);
    memset(h, 0, sizeof(*h));
    h->links[0] = h->links[1] = -1;
}

static int wc_attach_interface(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, const char *name,
                               char *reason)
{
    struct wc_hook *h = &a->hooks[a->nhooks];
    bool lo = !strcmp(name, "lo");
    int rc = wc_attach_check_link(name, reason);

    if (!rc)
        rc = wc_attach_check_stack(a, name, reason);
    if (rc)
        return rc;
    memset(h, 0, sizeof(*h));
    h->links[0] = h->links[1] = -1;
    snprintf(h->name, sizeof(h->name), "%s", name);
    h->ifindex = if_nametoindex(name);
    rc = wc_attach_tc(a, k, cfg, h);
    if (rc) {
        snprintf(reason, WC_REASON_MAX, "%s: cannot attach to TC: %s", name, strerror(-rc));
        wc_hook_detach(a, cfg, h);
        return rc;
    }
    a->nhooks++;
    /* lo has generic XDP only, which would linearise everybody's packets and is no faster than TC. */
    if (cfg->fastpath == WC_FASTPATH_TC || lo)
        return 0;
    rc = wc_attach_xdp(k, h);
    if (!rc)
        return 0;
    if (cfg->fastpath == WC_FASTPATH_XDP) {
        snprintf(reason, WC_REASON_MAX, "%s: cannot attach native XDP: %s", name, strerror(-rc));
        a->nhooks--;
        wc_hook_detach(a, cfg, h);
        return rc;
    }
    wc_log(WC_LOG_NOTICE, "fast path: no native XDP on %s (%s): TC only", name, strerror(-rc));
    return 0;
}

int wc_attach_all(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, char *reason)
{
    char names[WC_CONFIG_STR], why[WC_REASON_MAX] = "fastpath-interfaces names none", *save = NULL;
    int rc = -ENODEV, one;

    if (!a->pinned)
        wc_pin_maps(a, k, cfg);
    if (a->sock_ops_link < 0) {
        rc = wc_attach_sock_ops(a, k, reason);
        if (rc)
            goto fail;
    }
    snprintf(names, sizeof(names), "%s", cfg->fastpath_interfaces);
    for (char *name = strtok_r(names, " ,", &save); name && a->nhooks < WC_HOOKS_MAX;
         name = strtok_r(NULL, " ,", &save)) {
        one = wc_attach_interface(a, k, cfg, name, why);
        if (one) {
            rc = one;
            wc_log(WC_LOG_WARNING, "fast path: %s", why);
        }
    }
    if (a->nhooks)
        return 0;
    snprintf(reason, WC_REASON_MAX, "%s", why);
fail:
    wc_attach_detach(a, k, cfg, true);
    return rc;
}

static void wc_unpin_maps(struct wc_attach *a, struct wc_kernel *k)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, k->skel->obj) wc_unpin(a, bpf_map__name(map), "");
    rmdir(a->pin_dir);
    a->pinned = false;
}

void wc_attach_detach(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, bool with_sockets)
{
    while (a->nhooks)
        wc_hook_detach(a, cfg, &a->hooks[--a->nhooks]);
    if (!with_sockets)
        return;
    if (a->sock_ops_link >= 0) {
        wc_unpin(a, "sock_ops", "");
        close(a->sock_ops_link);
        a->sock_ops_link = -1;
    }
    wc_unpin_maps(a, k);
}

void wc_attach_describe(const struct wc_attach *a, char *buf, size_t len)
{
    size_t at = 0;

    buf[0] = '\0';
    for (int i = 0; i < a->nhooks && at < len; i++)
        at += snprintf(buf + at, len - at, "%s%s:%s", i ? "," : "", a->hooks[i].name, a->hooks[i].xdp ? "xdp" : "tc");
}
