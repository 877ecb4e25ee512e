/* What a crashed predecessor on this port left attached: found by its pins, and an XDP program by the port and network
 * namespace in its options. attach.c has put it there.
 */
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "log.h"

#define WC_OLD_LINKS_S 60 /* as long as entries linger in conns */

static int64_t wc_attach_now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

/* Is this the XDP program of a wirecache on this port and in this network namespace? Its options tell. */
static bool wc_xdp_is_ours(struct xdp_program *prog, const struct wc_rodata *cfg)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof(info), ids[32], zero = 0;
    int fd = bpf_prog_get_fd_by_id(xdp_program__id(prog));
    bool ours = false;

    if (fd < 0)
        return false;
    info.nr_map_ids = sizeof(ids) / sizeof(*ids);
    info.map_ids = (uintptr_t)ids;
    if (bpf_obj_get_info_by_fd(fd, &info, &len) || strcmp(info.name, "wc_xdp"))
        info.nr_map_ids = 0;
    for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(*ids) && !ours; i++) {
        struct bpf_map_info map = {0};
        struct wc_rodata theirs = {0};
        uint32_t map_len = sizeof(map);
        int map_fd = bpf_map_get_fd_by_id(ids[i]);

        if (map_fd < 0)
            continue;
        if (!bpf_obj_get_info_by_fd(map_fd, &map, &map_len) && strstr(map.name, "rodata") &&
            map.value_size == sizeof(theirs) && !bpf_map_lookup_elem(map_fd, &zero, &theirs))
            ours = theirs.port == cfg->port && theirs.netns_cookie == cfg->netns_cookie;
        close(map_fd);
    }
    close(fd);
    return ours;
}

static bool wc_xdp_remove(struct xdp_program *prog, struct xdp_multiprog *mp, unsigned ifindex,
                          const struct wc_rodata *cfg)
{
    return prog && wc_xdp_is_ours(prog, cfg) && !xdp_program__detach(prog, ifindex, xdp_multiprog__attach_mode(mp), 0);
}

/* Take a predecessor's XDP program off an interface, whatever else is there. */
static bool wc_xdp_clean(unsigned ifindex, const struct wc_rodata *cfg)
{
    struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(ifindex);
    struct xdp_program *prog = NULL;
    bool removed = false;

    if (libxdp_get_error(mp))
        return false;
    if (xdp_multiprog__is_legacy(mp))
        removed = wc_xdp_remove(xdp_multiprog__main_prog(mp), mp, ifindex, cfg);
    else
        while (!removed && (prog = xdp_multiprog__next_prog(prog, mp)))
            removed = wc_xdp_remove(prog, mp, ifindex, cfg);
    xdp_multiprog__close(mp);
    return removed;
}

/* Do connections of a dead process still need translation? Its sockets may yet be sending what they held. */
static bool wc_clean_translates(const struct wc_attach *a)
{
    char path[WC_CONFIG_STR + 128];
    struct bpf_map_info info = {0};
    uint32_t len = sizeof(info), left;
    struct wc_conn_key key;
    struct wc_conn entry;
    bool found = false;
    int fd;

    wc_pin_path(a, "conns", "", path, sizeof(path));
    fd = bpf_obj_get(path);
    if (fd < 0)
        return false;
    if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(entry))
        found = true; /* another version's */
    left = info.max_entries;
    for (bool more = !found && !bpf_map_get_next_key(fd, NULL, &key); more && left && !found; left--) {
        found = !bpf_map_lookup_elem_flags(fd, &key, &entry, BPF_F_LOCK) && (entry.tcp.x.din || entry.tcp.x.dout);
        more = !bpf_map_get_next_key(fd, &key, &key);
    }
    close(fd);
    return found;
}

/* Hold on to a dead process's TC link, for the connections that it translates. */
static void wc_clean_keep(struct wc_attach *a, const char *path)
{
    int fd;

    if (a->nold == WC_HOOKS_MAX * 2)
        return;
    fd = bpf_obj_get(path);
    if (fd < 0)
        return;
    a->old_links[a->nold++] = fd;
    a->old_until_s = wc_attach_now_s() + WC_OLD_LINKS_S;
}

/* Remove the pins of a crashed process. Its links go with them: sock_ops at once, so that no new connection gets into
 * its maps; TC only after a while if there are connections that it translates. They do not get into the way of ours,
 * which have other connections. */
static int wc_clean_pins(struct wc_attach *a)
{
    bool keep = wc_clean_translates(a);
    DIR *dir = opendir(a->pin_dir);
    struct dirent *e;
    int n = 0;

    if (!dir)
        return 0;
    while ((e = readdir(dir))) {
        char path[WC_CONFIG_STR + 512];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", a->pin_dir, e->d_name);
        if (keep && !strncmp(e->d_name, "tc_", 3))
            wc_clean_keep(a, path);
        n += !unlink(path);
    }
    closedir(dir);
    rmdir(a->pin_dir);
    return n;
}

void wc_attach_clean(struct wc_attach *a, const struct wc_rodata *cfg)
{
    struct if_nameindex *all = if_nameindex();
    int n = wc_clean_pins(a);

    for (struct if_nameindex *i = all; i && i->if_index; i++)
        n += wc_xdp_clean(i->if_index, cfg);
    if (all)
        if_freenameindex(all);
    if (n)
        wc_log(WC_LOG_NOTICE, "fast path: removed what an earlier process left attached%s",
               a->nold ? "; its last connections are translated for another minute" : "");
}

void wc_attach_tend(struct wc_attach *a)
{
    if (!a->nold || wc_attach_now_s() < a->old_until_s)
        return;
    while (a->nold)
        close(a->old_links[--a->nold]);
}
