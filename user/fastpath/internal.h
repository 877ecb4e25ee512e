/* The fast path's inner parts, from the kernel outwards:
 *
 *   kernel.c   loads the programs, maps the shared memory
 *   attach.c   hooks: TC, XDP, sock_ops; pins
 *   attach_clean.c  what a crashed process left behind
 *   conns.c    connection numbers: claimed by workers, given back, lingering entries removed
 *   mirror.c   the slots: written inside the store's critical sections
 *   hot.c      which keys get a slot
 *   fastpath.c life cycle, the manager thread, INFO
 *
 * Threads: workers call conns (their own connection), mirror (under a shard's lock) and hot (wc_hot_saw). All else is
 * the manager thread's, or happens before it starts. Lock order: a shard's lock, then nothing; hot.queue_lock alone.
 */
#ifndef WC_FASTPATH_INTERNAL_H
#define WC_FASTPATH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "store/store.h"
#include "wc_abi.h"
#include "wc_counters.h"

#define WC_REASON_MAX 256
#define WC_NO_SLOT    UINT32_MAX

/* ---- kernel.c ---- */

struct wirecache_bpf;

/* Send what libbpf and libxdp have to say to the debug log. */
void wc_kernel_quiet_libraries(void);

struct wc_kernel {
    struct wirecache_bpf *skel;
    struct wc_slot *slots;   /* mmap of hot_values */
    struct wc_conn_ctl *ctl; /* mmap of conn_ctl */
    struct wc_control *control;
    uint32_t nslots, nconns;
    int hot_keys_fd, conns_fd, free_conns_fd, counters_fd;
    int ncpus;
};

/* The options that this server's programs get. 0 or -errno with the reason. */
int wc_kernel_options(const struct wc_config *cfg, struct wc_rodata *out, char *reason);
/* Load the TC and sock_ops programs with these options and map the shared memory. 0 or -errno with the reason. */
int wc_kernel_load(struct wc_kernel *k, const struct wc_config *cfg, const struct wc_rodata *options, char *reason);
void wc_kernel_unload(struct wc_kernel *k);
/* Sum of one counter over the CPUs. */
uint64_t wc_kernel_counter(const struct wc_kernel *k, enum wc_counter which);
/* Give `obj`, opened but not loaded, k's maps and options. 0 or -errno. */
struct bpf_object;
int wc_kernel_share(const struct wc_kernel *k, struct bpf_object *obj);

/* ---- attach.c ---- */

#define WC_HOOKS_MAX 32

struct wc_hook {
    char name[16]; /* interface */
    unsigned ifindex;
    int links[2]; /* TCX ingress and egress, -1: none */
    bool clsact;  /* attached through the clsact qdisc instead */
    struct xdp_program *xdp;
    struct xdp_bpf *xdp_skel;
};

struct wc_attach {
    struct wc_hook hooks[WC_HOOKS_MAX];
    int nhooks;
    int sock_ops_link; /* -1: none */
    char pin_dir[WC_CONFIG_STR + 64];
    bool pinned;
    int old_links[2 * WC_HOOKS_MAX]; /* a dead predecessor's TC links that are still of use */
    int nold;
    int64_t old_until_s; /* CLOCK_MONOTONIC */
};

/* Where this server's pins are. Also mounts bpffs there when it is the usual place and nothing is mounted. */
void wc_attach_init(struct wc_attach *a, const struct wc_config *cfg);
/* Path of a pin into buf: pin_dir/name, or pin_dir/name-ifname. */
int wc_pin_path(const struct wc_attach *a, const char *name, const char *ifname, char *buf, size_t len);
/* Remove whatever a crashed predecessor on this port left. */
void wc_attach_clean(struct wc_attach *a, const struct wc_rodata *cfg);
/* Let go of a predecessor's links when their time is over. */
void wc_attach_tend(struct wc_attach *a);
/* Attach to sock_ops and to every interface that cfg names. 0 if at least one interface is served; otherwise -errno
 * and the reason, with nothing attached. Interfaces that cannot be served are logged. */
int wc_attach_all(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, char *reason);
/* Take the interfaces' programs off; with_sockets: sock_ops and the pins too. */
void wc_attach_detach(struct wc_attach *a, struct wc_kernel *k, const struct wc_config *cfg, bool with_sockets);
/* `lo:tc,eth0:xdp` */
void wc_attach_describe(const struct wc_attach *a, char *buf, size_t len);

/* ---- conns.c ---- */

struct wc_conns {
    struct wc_kernel *k;
    _Atomic uint64_t *owner; /* by number: cookie of the connection a worker claimed it for, 0: none */
    uint32_t *pushed;        /* by number: how often it was put into free_conns */
    struct wc_claim {
        int fd;
        bool trusted; /* see wc_conns_trust() */
        uint64_t since_ns;
    } * claims;     /* by number, the claiming worker's */
    uint32_t nfree; /* numbers in free_conns at the last look; the manager's */
    _Atomic uint32_t nclaimed;
};

int wc_conns_init(struct wc_conns *c, struct wc_kernel *k);
void wc_conns_free(struct wc_conns *c);
int wc_conns_claim(struct wc_conns *c, int fd);
/* Does the kernel know all that has reached this connection? consumed: request bytes executed so far. */
bool wc_conns_trust(struct wc_conns *c, int number, uint32_t consumed);
void wc_conns_release(struct wc_conns *c, int number);
int64_t wc_conns_idle_ms(const struct wc_conns *c, int number);
/* Put free numbers back into circulation; remove entries that have lingered long enough. */
void wc_conns_tend(struct wc_conns *c);
/* How many entries translate (din or dout not zero). */
size_t wc_conns_translating(const struct wc_conns *c);
/* Of these, how many whose socket is not done: the client has not acknowledged everything yet. */
size_t wc_conns_unfinished(const struct wc_conns *c);
/* Remove every entry: after the programs that track them are detached. */
void wc_conns_forget(struct wc_conns *c);

/* ---- mirror.c ---- */

/* Who a slot belongs to. Guarded by the shard's lock while linked, by the manager alone while not. */
struct wc_owner {
    uint64_t hash;
    uint32_t shard;
    uint32_t next; /* in its bucket, WC_NO_SLOT ends */
    uint32_t key_len;
    bool linked;
    char key[WC_KEY_MAX];
    int64_t expire_at_ms;
};

struct wc_mirror {
    struct wc_slot *slots;
    struct wc_control *control;
    uint32_t nslots;
    uint32_t value_max;
    struct wc_store *store;
    struct wc_owner *owners; /* by slot */
    uint32_t *buckets;       /* shard * buckets_per_shard + bits of the hash -> first slot */
    uint32_t bucket_mask;    /* buckets per shard - 1 */
    _Atomic int64_t mono_minus_wall_ns;
};

int wc_mirror_init(struct wc_mirror *m, struct wc_kernel *k, struct wc_store *store, uint32_t value_max);
void wc_mirror_free(struct wc_mirror *m);
/* The store's observer, arg = the mirror. */
void wc_mirror_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at_ms);
void wc_mirror_removed(void *arg, int db, const struct wc_key *key);
void wc_mirror_flushed(void *arg, int db, uint32_t shard);
void wc_mirror_many(void *arg, bool begin);
/* Key gets the slot, which is linked to nobody, with what the store holds for it. false: it has one already. */
bool wc_mirror_assign(struct wc_mirror *m, uint32_t slot, const struct wc_key *key);
/* The slot is emptied and linked to nobody. */
void wc_mirror_revoke(struct wc_mirror *m, uint32_t slot);
/* Tell the store that the slot's key was read, for LRU and LFU. */
void wc_mirror_touch(struct wc_mirror *m, uint32_t slot, uint64_t times, int64_t now_ms);
/* The wall clock moved against the monotonic one: recompute every deadline. */
void wc_mirror_retime(struct wc_mirror *m);
/* Returns true when the clocks have drifted apart by more than half a millisecond since the last retime. */
bool wc_mirror_drifted(const struct wc_mirror *m);

/* ---- hot.c ---- */

#define WC_HOT_QUEUE 1024

struct wc_candidate {
    uint64_t hash;
    uint32_t len;
    char key[WC_KEY_MAX];
};

struct wc_hot {
    struct wc_kernel *k;
    struct wc_mirror *mirror;
    uint32_t key_max, value_max;
    /* frequency sketch: one 64-byte line of counters per group of keys, four counters per key */
    _Atomic uint8_t *sketch;
    uint64_t line_mask;
    _Atomic uint32_t seen; /* since the last ageing */
    /* keys queued lately, by hash, so that a hot pipeline does not queue its keys again and again */
    _Atomic uint64_t *recent;
    _Atomic uint32_t admit; /* frequency a key needs */
    pthread_mutex_t queue_lock;
    struct wc_candidate *queue;
    uint32_t queued;
    int wake_fd;
    /* manager's own */
    struct wc_candidate *work;
    uint32_t used;  /* slots handed out so far; beyond that they are free */
    uint32_t hand;  /* CLOCK */
    uint32_t *heat; /* by slot: recent hits, halved every second */
    uint64_t *hits; /* by slot: hits at the last look */
    _Atomic uint64_t promotions, demotions;
    _Atomic uint32_t assigned; /* slots in use */
};

int wc_hot_init(struct wc_hot *h, struct wc_kernel *k, struct wc_mirror *m, const struct wc_config *cfg);
void wc_hot_free(struct wc_hot *h);
/* Worker: userspace answered a GET of this key. */
void wc_hot_saw(struct wc_hot *h, const struct wc_key *key, bool hit, uint32_t value_len);
/* Manager: give slots to queued keys. */
void wc_hot_promote(struct wc_hot *h);
/* Manager, once a second: look at the slots' hit counters, cool down. */
void wc_hot_age(struct wc_hot *h);

#endif
