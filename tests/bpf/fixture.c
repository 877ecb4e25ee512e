#include "fixture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wirecache.skel.h"
#include "xdp.skel.h"

#define LO                     1
#define TEST_CHECKSUM_COMPLETE (1u << 2) /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.15 */

uint64_t fix_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

/* ---- loading ---- */

static void give_up(const char *why)
{
    bool required = getenv("WC_REQUIRE_BPF") && strcmp(getenv("WC_REQUIRE_BPF"), "0") != 0;

    printf("%s: %s\n", required ? "FAIL" : "SKIP", why);
    exit(required);
}

/* lo up in a namespace of our own, and a socket that sees what is sent there. */
static int open_capture(void)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = LO};
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd;

    if (unshare(CLONE_NEWNET))
        return -1;
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) || bind(fd, (struct sockaddr *)&ll, sizeof(ll))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Replace every call of a helper by "r0 = -ENOMEM". The instructions are libbpf's own copy, not loaded yet. */
static void break_helper(struct bpf_program *prog, uint32_t helper)
{
    struct bpf_insn *insn = (struct bpf_insn *)(uintptr_t)bpf_program__insns(prog);
    struct bpf_insn fail = {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -ENOMEM};

    for (size_t i = 0; i < bpf_program__insn_cnt(prog); i++)
        if (insn[i].code == (BPF_JMP | BPF_CALL) && insn[i].src_reg == 0 && insn[i].imm == (int)helper)
            insn[i] = fail;
}

static int load_xdp(struct fix *f, enum fix_fault fault)
{
    struct xdp_bpf *x = xdp_bpf__open();

    if (!x)
        return -errno;
    x->rodata->wc_cfg = f->k.skel->rodata->wc_cfg;
    if (fault == FAULT_RESIZE)
        break_helper(x->progs.wc_xdp, BPF_FUNC_xdp_adjust_tail);
    if (fault == FAULT_STORE)
        break_helper(x->progs.wc_xdp, BPF_FUNC_xdp_store_bytes);
    f->xdp[fault] = x;
    return wc_kernel_share(&f->k, x->obj) ?: xdp_bpf__load(x);
}

static int load_tc(struct fix *f, enum fix_fault fault)
{
    struct wirecache_bpf *w;

    if (fault == FAULT_NONE) {
        f->tc[fault] = f->k.skel;
        return 0;
    }
    w = wirecache_bpf__open();
    if (!w)
        return -errno;
    w->rodata->wc_cfg = f->k.skel->rodata->wc_cfg;
    break_helper(w->progs.wc_tc_in, fault == FAULT_RESIZE ? BPF_FUNC_skb_change_tail : BPF_FUNC_skb_store_bytes);
    f->tc[fault] = w;
    return wc_kernel_share(&f->k, w->obj) ?: wirecache_bpf__load(w);
}

/* Which kinds of skb can this kernel make? */
static void probe(struct fix *f)
{
    struct pkt in = {.len = 200};
    struct fix_run r;

    f->can_linear = f->can_complete = true;
    fix_run(f, FIX_TC_OUT, &in, &(struct fix_how){.linear = 64}, &r);
    f->can_linear = r.verdict == FIX_NEXT;
    fix_run(f, FIX_TC_OUT, &in, &(struct fix_how){.complete = 1}, &r);
    f->can_complete = r.verdict == FIX_NEXT;
}

int fix_setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    char reason[WC_REASON_MAX];
    struct wc_rodata options;
    int rc;

    setvbuf(stdout, NULL, _IOLBF, 0);
    f->capture = open_capture();
    wc_config_defaults(&f->cfg);
    f->cfg.port = PKT_PORT;
    f->cfg.fastpath_hot_keys = 64;
    f->cfg.maxclients = 16;
    f->cfg.fastpath_value_max = WC_VALUE_MAX;
    rc = wc_kernel_options(&f->cfg, &options, reason) ?: wc_kernel_load(&f->k, &f->cfg, &options, reason);
    if (rc == -EPERM || rc == -EACCES)
        give_up(reason);
    if (rc) {
        fprintf(stderr, "%s\n", reason);
        return rc;
    }
    for (int fault = FAULT_NONE; fault < FAULT_COUNT && !rc; fault++)
        rc = load_tc(f, fault) ?: load_xdp(f, fault);
    if (rc)
        return rc;
    f->store = wc_store_new(4, 1);
    rc = f->store ? wc_mirror_init(&f->mirror, &f->k, f->store, WC_VALUE_MAX) : -ENOMEM;
    if (rc)
        return rc;
    wc_store_observe(f->store, &(struct wc_store_observer){.changed = wc_mirror_changed,
                                                           .removed = wc_mirror_removed,
                                                           .flushed = wc_mirror_flushed,
                                                           .arg = &f->mirror});
    f->k.control->answering = 1;
    probe(f);
    f->slot_k = fix_hot(f, "k", 1, "v", 1);
    *state = f;
    return 0;
}

int fix_teardown(void **state)
{
    struct fix *f = *state;

    for (int fault = FAULT_NONE; fault < FAULT_COUNT; fault++) {
        xdp_bpf__destroy(f->xdp[fault]);
        if (fault != FAULT_NONE)
            wirecache_bpf__destroy(f->tc[fault]);
    }
    wc_mirror_free(&f->mirror);
    wc_store_free(f->store);
    wc_kernel_unload(&f->k);
    if (f->capture >= 0)
        close(f->capture);
    free(f);
    return 0;
}

/* ---- maps ---- */

static struct wc_key make_key(const char *key, uint32_t len)
{
    return (struct wc_key){.ptr = key, .len = len, .hash = wc_store_hash(key, len)};
}

void fix_set(struct fix *f, const char *key, uint32_t key_len, const char *value, uint32_t value_len)
{
    struct wc_key k = make_key(key, key_len);
    uint32_t shard = wc_store_shard_of(f->store, k.hash);

    wc_store_lock(f->store, shard);
    if (value)
        assert_int_equal(wc_store_set(f->store, 0, &k, value, value_len, WC_NO_EXPIRE), 0);
    else
        wc_store_delete(f->store, 0, &k, wc_store_now_ms());
    wc_store_unlock(f->store, shard);
}

static void hot_key(struct wc_hot_key *h, const char *key, uint32_t len)
{
    memset(h, 0, sizeof(*h));
    h->len = len;
    memcpy(h->bytes, key, len);
}

void fix_point(struct fix *f, const char *key, uint32_t key_len, uint32_t slot)
{
    struct wc_hot_key h;

    hot_key(&h, key, key_len);
    if (slot == WC_NO_SLOT)
        bpf_map_delete_elem(f->k.hot_keys_fd, &h);
    else
        assert_int_equal(bpf_map_update_elem(f->k.hot_keys_fd, &h, &slot, BPF_ANY), 0);
}

uint32_t fix_hot(struct fix *f, const char *key, uint32_t key_len, const char *value, uint32_t value_len)
{
    struct wc_key k = make_key(key, key_len);
    uint32_t slot = f->next_slot;

    f->next_slot = (slot + 1) % f->k.nslots;
    fix_set(f, key, key_len, value, value_len);
    assert_true(wc_mirror_assign(&f->mirror, slot, &k));
    fix_point(f, key, key_len, slot);
    return slot;
}

void fix_cool(struct fix *f, uint32_t slot)
{
    fix_point(f, f->mirror.owners[slot].key, f->mirror.owners[slot].key_len, WC_NO_SLOT);
    wc_mirror_revoke(&f->mirror, slot);
}

void fix_conn_put(struct fix *f, const struct wc_conn_key *key, const struct wc_conn *c)
{
    assert_int_equal(bpf_map_update_elem(f->k.conns_fd, key, c, BPF_ANY), 0);
}

bool fix_conn_get(struct fix *f, const struct wc_conn_key *key, struct wc_conn *c)
{
    return bpf_map_lookup_elem(f->k.conns_fd, key, c) == 0;
}

void fix_conn_remove(struct fix *f, const struct wc_conn_key *key)
{
    bpf_map_delete_elem(f->k.conns_fd, key);
}

void fix_saved_get(struct fix *f, struct wc_saved *saved)
{
    uint32_t key = FIX_NUMBER;

    assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(f->k.skel->maps.replies), &key, saved), 0);
}

void fix_saved_put(struct fix *f, const struct wc_saved *saved)
{
    uint32_t key = FIX_NUMBER;

    assert_int_equal(bpf_map_update_elem(bpf_map__fd(f->k.skel->maps.replies), &key, saved, BPF_ANY), 0);
}

/* All counters in one call: the tests read them around every packet. */
void fix_counters(struct fix *f, uint64_t counts[WC_CTR_COUNT])
{
    uint64_t values[WC_CTR_COUNT][f->k.ncpus];
    uint32_t keys[WC_CTR_COUNT], next, n = WC_CTR_COUNT;
    int rc = bpf_map_lookup_batch(f->k.counters_fd, NULL, &next, keys, values, &n, NULL);

    assert_true(rc == 0 || errno == ENOENT);
    assert_int_equal(n, WC_CTR_COUNT);
    for (int i = 0; i < WC_CTR_COUNT; i++) {
        counts[keys[i]] = 0;
        for (int cpu = 0; cpu < f->k.ncpus; cpu++)
            counts[keys[i]] += values[i][cpu];
    }
}

const char *fix_counter_name(uint32_t which)
{
    static const char *const names[] = {
#define NAME(id, name, text) [WC_CTR_##id] = name,
        WC_COUNTERS(NAME)
#undef NAME
    };

    return which < WC_CTR_COUNT ? names[which] : "?";
}

/* ---- running ---- */

static enum fix_verdict verdict_of(enum fix_hook hook, uint32_t retval)
{
    if (hook == FIX_XDP)
        return retval == XDP_PASS   ? FIX_NEXT
               : retval == XDP_TX   ? FIX_SENT
               : retval == XDP_DROP ? FIX_DROPPED
                                    : FIX_UNKNOWN;
    /* TC_ACT_UNSPEC, TC_ACT_REDIRECT, TC_ACT_SHOT */
    return retval == (uint32_t)-1 ? FIX_NEXT : retval == 7 ? FIX_SENT : retval == 2 ? FIX_DROPPED : FIX_UNKNOWN;
}

static int program(const struct fix *f, enum fix_hook hook)
{
    if (hook == FIX_XDP)
        return bpf_program__fd(f->xdp[f->fault]->progs.wc_xdp);
    if (hook == FIX_TC_IN)
        return bpf_program__fd(f->tc[f->fault]->progs.wc_tc_in);
    return bpf_program__fd(f->tc[f->fault]->progs.wc_tc_out);
}

void fix_run(struct fix *f, enum fix_hook hook, const struct pkt *in, const struct fix_how *how, struct fix_run *r)
{
    static const struct fix_how plain;
    struct __sk_buff ctx = {.ifindex = LO};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = in->len, .data_out = r->out.data,
                .data_size_out = PKT_MAX, .repeat = 1);
    int rc;

    how = how ?: &plain;
    if (hook != FIX_XDP) {
        opts.ctx_in = &ctx;
        opts.ctx_size_in = sizeof(ctx);
        ctx.ingress_ifindex = hook == FIX_TC_IN || how->redirected ? LO : 0;
        ctx.gso_size = how->gso;
        ctx.gso_segs = !!how->gso;
        opts.flags = f->can_complete && how->complete ? TEST_CHECKSUM_COMPLETE : 0;
        ctx.data_end = f->can_linear && how->linear < in->len ? how->linear : 0;
    }
    r->began_ns = fix_now();
    rc = bpf_prog_test_run_opts(program(f, hook), &opts);
    r->ended_ns = fix_now();
    r->out.len = opts.data_size_out;
    r->verdict = rc ? FIX_UNKNOWN : verdict_of(hook, opts.retval);
}

bool fix_captured(struct fix *f, struct pkt *p)
{
    struct sockaddr_ll from;
    socklen_t from_len = sizeof(from);
    ssize_t n;

    for (;;) {
        n = recvfrom(f->capture, p->data, sizeof(p->data), 0, (struct sockaddr *)&from, &from_len);
        if (n < 0)
            return false;
        if (from.sll_pkttype == PACKET_OUTGOING) {
            p->len = n;
            return true;
        }
    }
}

void fix_capture_flush(struct fix *f)
{
    struct pkt p;

    while (f->capture >= 0 && fix_captured(f, &p))
        ;
}
