/* Connections that have closed are remembered for a minute. This looks at them, and lets time pass for them.
 *
 *   linger CONNS CTL           (ids of the maps conns and conn_ctl) prints: entries, of these lingering
 *   linger CONNS CTL SECONDS   those that linger have done so for SECONDS more
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wc_abi.h"

static long bpf(int cmd, union bpf_attr *attr)
{
    return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int open_map(const char *id)
{
    union bpf_attr attr = {.map_id = (uint32_t)atoi(id)};

    return (int)bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

static long element(int cmd, int map, const void *key, void *value, uint64_t flags)
{
    union bpf_attr attr = {0};

    attr.map_fd = (uint32_t)map;
    attr.key = (uintptr_t)key;
    attr.value = (uintptr_t)value; /* of BPF_MAP_GET_NEXT_KEY: next_key, in the same place */
    attr.flags = flags;
    return bpf(cmd, &attr);
}

static void age(int conns, int ctl, struct wc_conn_key *key, struct wc_conn *entry, unsigned seconds)
{
    struct wc_conn_ctl c;

    entry->closed_ns -= seconds * UINT64_C(1000000000);
    element(BPF_MAP_UPDATE_ELEM, conns, key, entry, BPF_EXIST | BPF_F_LOCK);
    if (element(BPF_MAP_LOOKUP_ELEM, ctl, &entry->number, &c, 0) || !c.closed_s)
        return;
    c.closed_s -= seconds;
    element(BPF_MAP_UPDATE_ELEM, ctl, &entry->number, &c, 0);
}

int main(int argc, char **argv)
{
    struct wc_conn_key key, next, *prev = NULL;
    int conns = argc > 2 ? open_map(argv[1]) : -1, ctl = argc > 2 ? open_map(argv[2]) : -1;
    unsigned entries = 0, lingering = 0;
    struct wc_conn entry;

    if (conns < 0 || ctl < 0) {
        fprintf(stderr, "usage: linger CONNS CTL [SECONDS]: %s\n", strerror(errno));
        return 2;
    }
    while (entries < 1000000 && !element(BPF_MAP_GET_NEXT_KEY, conns, prev, &next, 0)) {
        key = next;
        prev = &key;
        if (element(BPF_MAP_LOOKUP_ELEM, conns, &key, &entry, BPF_F_LOCK))
            continue;
        entries++;
        if (!entry.closed_ns)
            continue;
        lingering++;
        if (argc > 3)
            age(conns, ctl, &key, &entry, (unsigned)atoi(argv[3]));
    }
    printf("%u %u\n", entries, lingering);
    return 0;
}
