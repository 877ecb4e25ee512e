/* Loading: the skeleton, its sizes and options, the memory shared with the programs. */
#include "internal.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "log.h"
#include "wirecache.skel.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Connections beyond maxclients: those that linger after their sockets are gone. */
#define WC_SPARE_CONNS 1024

/* The libraries' own messages matter only to somebody who looks for the reason of a refusal. */
static int wc_kernel_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
    char line[512];

    if (level == LIBBPF_DEBUG)
        return 0;
    vsnprintf(line, sizeof(line), fmt, args);
    line[strcspn(line, "\n")] = '\0';
    wc_log(WC_LOG_DEBUG, "%s", line);
    return 0;
}

static int wc_kernel_print_xdp(enum libxdp_print_level level, const char *fmt, va_list args)
{
    return wc_kernel_print((enum libbpf_print_level)level, fmt, args);
}

void wc_kernel_quiet_libraries(void)
{
    libbpf_set_print(wc_kernel_print);
    libxdp_set_print(wc_kernel_print_xdp);
}

/* Each network namespace has a cookie, the same for BPF programs and sockets. */
static int wc_netns_cookie(__u64 *cookie)
{
    socklen_t len = sizeof(*cookie);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    rc = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len) ? -errno : 0;
    close(fd);
    return rc;
}

static void wc_kernel_explain(char *reason, int err, const char *what)
{
    if (err == -EPERM || err == -EACCES)
        snprintf(reason, WC_REASON_MAX, "%s: %s (needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)", what,
                 strerror(-err));
    else
        snprintf(reason, WC_REASON_MAX, "%s: %s", what, strerror(-err));
}

static void *wc_kernel_map(struct bpf_map *map, int prot)
{
    size_t len = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
    void *p = mmap(NULL, len, prot, MAP_SHARED, bpf_map__fd(map), 0);

    return p == MAP_FAILED ? NULL : p;
}

static void wc_kernel_size(struct wc_kernel *k, const struct wc_config *cfg)
{
    struct wirecache_bpf *skel = k->skel;

    k->nslots = cfg->fastpath_hot_keys;
    k->nconns = cfg->maxclients + WC_SPARE_CONNS;
    bpf_map__set_max_entries(skel->maps.hot_keys, k->nslots);
    bpf_map__set_max_entries(skel->maps.hot_values, k->nslots);
    bpf_map__set_max_entries(skel->maps.conns, k->nconns);
    bpf_map__set_max_entries(skel->maps.conn_ctl, k->nconns);
    bpf_map__set_max_entries(skel->maps.replies, k->nconns);
    bpf_map__set_max_entries(skel->maps.free_conns, k->nconns);
}

static int wc_kernel_share_memory(struct wc_kernel *k)
{
    struct wirecache_bpf *skel = k->skel;

    k->slots = wc_kernel_map(skel->maps.hot_values, PROT_READ | PROT_WRITE);
    k->ctl = wc_kernel_map(skel->maps.conn_ctl, PROT_READ | PROT_WRITE);
    k->control = wc_kernel_map(skel->maps.control, PROT_READ | PROT_WRITE);
    k->hot_keys_fd = bpf_map__fd(skel->maps.hot_keys);
    k->conns_fd = bpf_map__fd(skel->maps.conns);
    k->free_conns_fd = bpf_map__fd(skel->maps.free_conns);
    k->counters_fd = bpf_map__fd(skel->maps.counters);
    k->ncpus = libbpf_num_possible_cpus();
    return k->slots && k->ctl && k->control && k->ncpus > 0 ? 0 : -ENOMEM;
}

int wc_kernel_options(const struct wc_config *cfg, struct wc_rodata *out, char *reason)
{
    int rc;

    memset(out, 0, sizeof(*out));
    out->port = htons(cfg->port);
    rc = wc_netns_cookie(&out->netns_cookie);
    if (rc)
        wc_kernel_explain(reason, rc, "SO_NETNS_COOKIE");
    return rc;
}

int wc_kernel_load(struct wc_kernel *k, const struct wc_config *cfg, const struct wc_rodata *options, char *reason)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    int rc;

    memset(k, 0, sizeof(*k));
    setrlimit(RLIMIT_MEMLOCK, &unlimited); /* kernels before 5.11 charge maps to it; later ones do not care */
    k->skel = wirecache_bpf__open();
    if (!k->skel) {
        wc_kernel_explain(reason, -errno, "cannot read the BPF object");
        return -errno;
    }
    wc_kernel_size(k, cfg);
    k->skel->rodata->wc_cfg = *options;
    rc = wirecache_bpf__load(k->skel);
    if (rc) {
        wc_kernel_explain(reason, rc, "cannot load the BPF programs");
        goto fail;
    }
    rc = wc_kernel_share_memory(k);
    if (rc) {
        wc_kernel_explain(reason, rc, "cannot map the shared memory");
        goto fail;
    }
    return 0;
fail:
    wc_kernel_unload(k);
    return rc;
}

static void wc_kernel_unmap(void *p, uint32_t n, size_t size)
{
    if (p)
        munmap(p, (size_t)n * size);
}

void wc_kernel_unload(struct wc_kernel *k)
{
    wc_kernel_unmap(k->slots, k->nslots, sizeof(*k->slots));
    wc_kernel_unmap(k->ctl, k->nconns, sizeof(*k->ctl));
    wc_kernel_unmap(k->control, 1, sizeof(*k->control));
    wirecache_bpf__destroy(k->skel);
    memset(k, 0, sizeof(*k));
}

uint64_t wc_kernel_counter(const struct wc_kernel *k, enum wc_counter which)
{
    uint64_t values[k->ncpus], sum = 0;
    uint32_t key = which;

    if (bpf_map_lookup_elem(k->counters_fd, &key, values))
        return 0;
    for (int i = 0; i < k->ncpus; i++)
        sum += values[i];
    return sum;
}

int wc_kernel_share(const struct wc_kernel *k, struct bpf_object *obj)
{
    struct bpf_map *map, *ours;
    int rc;

    bpf_object__for_each_map(map, obj)
    {
        if (bpf_map__is_internal(map))
            continue;
        ours = bpf_object__find_map_by_name(k->skel->obj, bpf_map__name(map));
        if (!ours)
            return -ENOENT;
        rc = bpf_map__reuse_fd(map, bpf_map__fd(ours));
        if (rc)
            return rc;
    }
    return 0;
}
