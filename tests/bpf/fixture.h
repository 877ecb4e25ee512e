/* The programs, loaded by the server's own code (wc_kernel_load), with the store and the mirror behind them, and
 * packets sent through one program at a time by BPF_PROG_TEST_RUN. Runs in a network namespace of its own.
 */
#ifndef WC_TEST_FIXTURE_H
#define WC_TEST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h> /* cmocka.h needs these four */
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fastpath/internal.h"
#include "packet.h"

enum fix_hook { FIX_XDP, FIX_TC_IN, FIX_TC_OUT, FIX_HOOKS };

enum fix_verdict { /* whatever the hook calls it */
                   FIX_NEXT,
                   FIX_SENT, /* XDP_TX, redirect */
                   FIX_DROPPED,
                   FIX_UNKNOWN,
};

/* Helpers that can be made to fail: the programs are loaded a second time with every call of one replaced. */
enum fix_fault {
    FAULT_NONE,
    FAULT_RESIZE, /* bpf_xdp_adjust_tail, bpf_skb_change_tail */
    FAULT_STORE,  /* bpf_xdp_store_bytes, bpf_skb_store_bytes */
    FAULT_COUNT,
};

enum { FIX_NUMBER = 3 }; /* the connection number of the tests */

struct fix {
    struct wc_config cfg;
    struct wc_kernel k;
    struct wc_store *store;
    struct wc_mirror mirror;
    struct wirecache_bpf *tc[FAULT_COUNT]; /* [FAULT_NONE] is k.skel */
    struct xdp_bpf *xdp[FAULT_COUNT];
    enum fix_fault fault; /* used by fix_run() */
    uint32_t next_slot;
    uint32_t slot_k; /* of the key "k", value "v", which is always hot */
    int capture;     /* packet socket on lo, -1: none */
    bool can_linear; /* the kernel can make skbs with only the headers in linear memory */
    bool can_complete;
};

struct fix_how {         /* about the skb; TC only */
    uint32_t linear;     /* bytes in linear memory, 0: all; needs can_linear */
    uint32_t redirected; /* TC out: one of our own replies */
    uint32_t gso;        /* segment size */
    uint32_t complete;   /* CHECKSUM_COMPLETE: the kernel checks that skb->csum stays right */
};

struct fix_run {
    enum fix_verdict verdict;
    struct pkt out;
    uint64_t began_ns, ended_ns; /* CLOCK_MONOTONIC around the run */
};

/* cmocka group fixtures; *state becomes a struct fix. Without BPF rights the process ends here: "SKIP" and status 0, or
 * 1 with WC_REQUIRE_BPF. */
int fix_setup(void **state);
int fix_teardown(void **state);

/* Hot keys, through the store and the mirror. value NULL: the key does not exist, its slot says null. Returns the slot.
 */
uint32_t fix_hot(struct fix *f, const char *key, uint32_t key_len, const char *value, uint32_t value_len);
/* SET of a hot key. */
void fix_set(struct fix *f, const char *key, uint32_t key_len, const char *value, uint32_t value_len);
void fix_cool(struct fix *f, uint32_t slot);
/* The element of hot_keys; slot WC_NO_SLOT: remove it. */
void fix_point(struct fix *f, const char *key, uint32_t key_len, uint32_t slot);

void fix_conn_put(struct fix *f, const struct wc_conn_key *key, const struct wc_conn *c);
bool fix_conn_get(struct fix *f, const struct wc_conn_key *key, struct wc_conn *c);
void fix_conn_remove(struct fix *f, const struct wc_conn_key *key);
void fix_saved_get(struct fix *f, struct wc_saved *saved);
void fix_saved_put(struct fix *f, const struct wc_saved *saved);
void fix_counters(struct fix *f, uint64_t counts[WC_CTR_COUNT]);
const char *fix_counter_name(uint32_t which);

/* NULL for `how`: a plain packet. */
void fix_run(struct fix *f, enum fix_hook hook, const struct pkt *in, const struct fix_how *how, struct fix_run *r);
/* One packet that was sent through lo since the last call. */
bool fix_captured(struct fix *f, struct pkt *p);
void fix_capture_flush(struct fix *f);

uint64_t fix_now(void);

#endif
