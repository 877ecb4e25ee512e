/* The fast path's life cycle, its manager thread, and the calls that the server makes.
 *
 * States: loaded or not (programs in the kernel, memory shared), attached or not (hooks on interfaces), answering or
 * not. CONFIG SET fastpath off stops answering at once; the hooks go when no connection needs translation any more. The
 * mirror is kept exact as long as the programs are loaded, so switching on again needs no copying.
 */
#include "fastpath/fastpath.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "log.h"

#define WC_TICK_MS 100
#define WC_PART_MS 2000

struct wc_fastpath {
    struct wc_config cfg; /* as at start; fastpath follows CONFIG SET */
    struct wc_rodata options;
    struct wc_store *store;
    struct wc_kernel kernel;
    struct wc_attach attach;
    struct wc_conns conns;
    struct wc_mirror mirror;
    struct wc_hot hot;
    /* Workers look at this first. Set once the parts above are ready, never cleared while workers run. */
    _Atomic bool loaded;
    pthread_mutex_t lock; /* attach, mode and reason: CONFIG SET and INFO against the manager */
    char reason[WC_REASON_MAX];
    pthread_t manager;
    bool manager_runs;
    _Atomic bool stopping;
    int64_t off_ms; /* when it was switched off, CLOCK_MONOTONIC */
};

static bool wc_fastpath_ready(struct wc_fastpath *fp)
{
    return fp && atomic_load_explicit(&fp->loaded, memory_order_acquire);
}

static void wc_fastpath_answer(struct wc_fastpath *fp, bool on)
{
    __atomic_store_n(&fp->kernel.control->answering, on, __ATOMIC_RELEASE);
}

/* ---- the manager thread ---- */

static int64_t wc_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* A timer that a step of the wall clock cancels: reading it then fails with ECANCELED. */
static int wc_clock_watch(void)
{
    struct itimerspec far = {.it_value = {.tv_sec = INT32_MAX}};
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd >= 0)
        timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
    return fd;
}

/* Off, and nothing is translated any more: take the hooks down. Connections still open are not accelerated again:
 * their numbers were not followed in the meantime. */
static void wc_fastpath_maybe_detach(struct wc_fastpath *fp)
{
    pthread_mutex_lock(&fp->lock);
    /* A program may have seen the switch on and still be about to answer: give it a second. */
    if (fp->cfg.fastpath == WC_FASTPATH_OFF && fp->attach.nhooks && wc_mono_ms() > fp->off_ms + 1000 &&
        !wc_conns_translating(&fp->conns)) {
        wc_attach_detach(&fp->attach, &fp->kernel, &fp->cfg, false);
        wc_conns_forget(&fp->conns);
        wc_log(WC_LOG_NOTICE, "fast path: detached");
    }
    pthread_mutex_unlock(&fp->lock);
}

static void *wc_fastpath_manage(void *arg)
{
    struct wc_fastpath *fp = arg;
    int clock_fd = wc_clock_watch();
    int64_t due = wc_mono_ms() + WC_TICK_MS;
    uint64_t word;

    for (unsigned tick = 0; !atomic_load(&fp->stopping);) {
        struct pollfd fds[2] = {{.fd = fp->hot.wake_fd, .events = POLLIN}, {.fd = clock_fd, .events = POLLIN}};
        int64_t left = due - wc_mono_ms();
        int n = poll(fds, 2, left > 0 ? (int)left : 0);

        if (n > 0 && fds[0].revents && read(fp->hot.wake_fd, &word, sizeof(word)) < 0 && errno != EAGAIN)
            break;
        if (n > 0 && fds[1].revents && read(clock_fd, &word, sizeof(word)) < 0 && errno == ECANCELED)
            wc_mirror_retime(&fp->mirror);
        wc_hot_promote(&fp->hot);
        /* By the clock, not when poll() was quiet: with more keys than slots wake_fd never is. */
        if (wc_mono_ms() < due)
            continue;
        due = wc_mono_ms() + WC_TICK_MS;
        if (wc_mirror_drifted(&fp->mirror))
            wc_mirror_retime(&fp->mirror);
        wc_conns_tend(&fp->conns);
        if (++tick % (1000 / WC_TICK_MS) == 0) {
            wc_hot_age(&fp->hot);
            wc_attach_tend(&fp->attach);
            wc_fastpath_maybe_detach(fp);
        }
    }
    if (clock_fd >= 0)
        close(clock_fd);
    return NULL;
}

/* ---- life ---- */

static int wc_fastpath_load(struct wc_fastpath *fp)
{
    struct wc_store_observer observer = {wc_mirror_changed, wc_mirror_removed, wc_mirror_flushed, &fp->mirror,
                                         wc_mirror_many};
    int rc = wc_kernel_load(&fp->kernel, &fp->cfg, &fp->options, fp->reason);

    if (rc)
        return rc;
    rc = wc_conns_init(&fp->conns, &fp->kernel);
    if (!rc)
        rc = wc_mirror_init(&fp->mirror, &fp->kernel, fp->store, fp->cfg.fastpath_value_max);
    if (!rc)
        rc = wc_hot_init(&fp->hot, &fp->kernel, &fp->mirror, &fp->cfg);
    if (!rc)
        rc = wc_attach_all(&fp->attach, &fp->kernel, &fp->cfg, fp->reason);
    else
        snprintf(fp->reason, sizeof(fp->reason), "out of memory");
    if (!rc) {
        wc_store_lock_all(fp->store);
        wc_store_observe(fp->store, &observer);
        wc_store_unlock_all(fp->store);
        rc = -pthread_create(&fp->manager, NULL, wc_fastpath_manage, fp);
        if (rc)
            snprintf(fp->reason, sizeof(fp->reason), "cannot start the manager thread: %s", strerror(-rc));
    }
    if (!rc) {
        fp->manager_runs = true;
        return 0;
    }
    wc_store_lock_all(fp->store);
    wc_store_observe(fp->store, NULL);
    wc_store_unlock_all(fp->store);
    wc_attach_detach(&fp->attach, &fp->kernel, &fp->cfg, true);
    wc_hot_free(&fp->hot);
    wc_mirror_free(&fp->mirror);
    wc_conns_free(&fp->conns);
    wc_kernel_unload(&fp->kernel);
    return rc;
}

/* Make the mode in cfg.fastpath so. Called with fp->lock held, or before anybody else knows fp. */
static int wc_fastpath_apply(struct wc_fastpath *fp)
{
    char hooks[WC_CONFIG_STR];
    bool fresh;
    int rc;

    if (fp->cfg.fastpath == WC_FASTPATH_OFF) {
        if (atomic_load(&fp->loaded))
            wc_fastpath_answer(fp, false);
        fp->off_ms = wc_mono_ms();
        return 0;
    }
    fp->reason[0] = '\0';
    fresh = !fp->attach.nhooks;
    if (!atomic_load(&fp->loaded))
        rc = wc_fastpath_load(fp);
    else
        rc = fp->attach.nhooks ? 0 : wc_attach_all(&fp->attach, &fp->kernel, &fp->cfg, fp->reason);
    if (rc) {
        if (atomic_load(&fp->loaded))
            wc_conns_forget(&fp->conns); /* sock_ops went too: nobody would see these connections end */
        wc_log(WC_LOG_WARNING, "fast path unavailable, serving without it: %s", fp->reason);
        return rc;
    }
    if (fresh)
        wc_conns_forget(&fp->conns); /* born before the hooks were on: nobody followed their numbers */
    wc_fastpath_answer(fp, true);
    atomic_store_explicit(&fp->loaded, true, memory_order_release);
    wc_attach_describe(&fp->attach, hooks, sizeof(hooks));
    wc_log(WC_LOG_NOTICE, "fast path active on %s, %u hot keys", hooks, fp->kernel.nslots);
    return 0;
}

struct wc_fastpath *wc_fastpath_new(const struct wc_config *cfg, struct wc_store *store)
{
    struct wc_fastpath *fp = calloc(1, sizeof(*fp));

    if (!fp)
        return NULL;
    fp->cfg = *cfg;
    fp->store = store;
    fp->hot.wake_fd = -1;
    pthread_mutex_init(&fp->lock, NULL);
    if (cfg->port == 0) {
        snprintf(fp->reason, sizeof(fp->reason), "no TCP port");
        return fp;
    }
    wc_kernel_quiet_libraries();
    wc_attach_init(&fp->attach, cfg);
    if (!wc_kernel_options(cfg, &fp->options, fp->reason)) {
        wc_attach_clean(&fp->attach, &fp->options); /* even if this start is to be without */
        wc_fastpath_apply(fp);
    }
    return fp;
}

/* The sockets are closed, but what they said last, or a reply of the kernel's before it, may have been lost: without
 * translation the client would never understand the repetition. So the hooks stay until everybody has acknowledged the
 * end, and when somebody does not in time they are left as a crash would leave them. true: nobody needs them. */
static bool wc_fastpath_part(struct wc_fastpath *fp)
{
    const struct timespec nap = {.tv_nsec = 10 * 1000000};
    size_t open = wc_conns_unfinished(&fp->conns);

    for (int ms = 0; open && ms < WC_PART_MS; ms += 10) {
        nanosleep(&nap, NULL);
        open = wc_conns_unfinished(&fp->conns);
    }
    if (open)
        wc_log(WC_LOG_NOTICE, "fast path: %zu clients have not acknowledged the end of their connections: %s", open,
               fp->attach.pinned ? "the hooks stay until the next start" : "they may not notice it");
    return !open;
}

void wc_fastpath_free(struct wc_fastpath *fp)
{
    if (!fp)
        return;
    atomic_store(&fp->stopping, true);
    if (fp->manager_runs)
        pthread_join(fp->manager, NULL);
    if (atomic_load(&fp->loaded)) {
        wc_fastpath_answer(fp, false);
        wc_store_lock_all(fp->store);
        wc_store_observe(fp->store, NULL);
        wc_store_unlock_all(fp->store);
        if (wc_fastpath_part(fp) || !fp->attach.pinned)
            wc_attach_detach(&fp->attach, &fp->kernel, &fp->cfg, true);
        wc_hot_free(&fp->hot);
        wc_mirror_free(&fp->mirror);
        wc_conns_free(&fp->conns);
        wc_kernel_unload(&fp->kernel);
    }
    pthread_mutex_destroy(&fp->lock);
    free(fp);
}

int wc_fastpath_set_mode(struct wc_fastpath *fp, enum wc_fastpath_mode mode, char *err, size_t errlen)
{
    enum wc_fastpath_mode old;
    int rc;

    if (!fp || !fp->cfg.port) {
        snprintf(err, errlen, "there is no fast path to switch");
        return -EOPNOTSUPP;
    }
    pthread_mutex_lock(&fp->lock);
    old = fp->cfg.fastpath;
    if (mode != WC_FASTPATH_OFF && old != WC_FASTPATH_OFF && mode != old && fp->attach.nhooks) {
        snprintf(err, errlen, "switch it off first: the hooks are in use");
        pthread_mutex_unlock(&fp->lock);
        return -EBUSY;
    }
    fp->cfg.fastpath = mode;
    rc = wc_fastpath_apply(fp);
    if (rc) {
        snprintf(err, errlen, "%s", fp->reason);
        fp->cfg.fastpath = old;
    }
    pthread_mutex_unlock(&fp->lock);
    return rc;
}

/* ---- workers ---- */

int wc_fastpath_conn_open(struct wc_fastpath *fp, int fd)
{
    return wc_fastpath_ready(fp) ? wc_conns_claim(&fp->conns, fd) : -1;
}

void wc_fastpath_conn_progress(struct wc_fastpath *fp, int conn, uint32_t consumed, uint32_t produced, bool eligible,
                               bool resp3)
{
    struct wc_conn_ctl *ctl;

    if (conn < 0)
        return;
    ctl = &fp->kernel.ctl[conn];
    eligible = eligible && wc_conns_trust(&fp->conns, conn, consumed);
    /* The flags first: the client can act on this batch only after its replies, which follow the progress. */
    __atomic_store_n(&ctl->flags, (eligible ? WC_CONN_ELIGIBLE : 0) | (resp3 ? WC_CONN_RESP3 : 0), __ATOMIC_RELAXED);
    __atomic_store_n(&ctl->progress, consumed | (uint64_t)produced << 32, __ATOMIC_RELEASE);
}

int64_t wc_fastpath_conn_idle_ms(struct wc_fastpath *fp, int conn)
{
    return conn < 0 ? INT64_MAX : wc_conns_idle_ms(&fp->conns, conn);
}

void wc_fastpath_conn_close(struct wc_fastpath *fp, int conn)
{
    if (conn >= 0)
        wc_conns_release(&fp->conns, conn);
}

void wc_fastpath_saw_get(struct wc_fastpath *fp, const struct wc_key *key, bool hit, uint32_t value_len)
{
    if (wc_fastpath_ready(fp))
        wc_hot_saw(&fp->hot, key, hit, value_len);
}

/* ---- INFO ---- */

void wc_fastpath_totals(struct wc_fastpath *fp, struct wc_fastpath_totals *out)
{
    memset(out, 0, sizeof(*out));
    if (!wc_fastpath_ready(fp))
        return;
    out->misses = wc_kernel_counter(&fp->kernel, WC_CTR_HITS_NULL);
    out->hits = wc_kernel_counter(&fp->kernel, WC_CTR_HITS) - out->misses;
    out->in_bytes = wc_kernel_counter(&fp->kernel, WC_CTR_IN_BYTES);
    out->out_bytes = wc_kernel_counter(&fp->kernel, WC_CTR_OUT_BYTES);
}

typedef void (*wc_info_fn)(void *arg, const char *name, const char *value);

static void wc_info_u64(wc_info_fn fn, void *arg, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    fn(arg, name, text);
}

static void wc_info_counters(const struct wc_kernel *k, wc_info_fn fn, void *arg)
{
    static const char *const names[] = {
#define WC_COUNTER_NAME(id, name, text) "fastpath_" name,
        WC_COUNTERS(WC_COUNTER_NAME)
#undef WC_COUNTER_NAME
    };

    for (int i = 0; i < WC_CTR_COUNT; i++)
        wc_info_u64(fn, arg, names[i], wc_kernel_counter(k, i));
}

void wc_fastpath_info(struct wc_fastpath *fp, wc_info_fn fn, void *arg)
{
    char hooks[WC_CONFIG_STR];
    const char *state;

    if (!fp) {
        fn(arg, "fastpath_state", "unavailable");
        fn(arg, "fastpath_reason", "out of memory");
        return;
    }
    pthread_mutex_lock(&fp->lock);
    state = fp->cfg.fastpath == WC_FASTPATH_OFF ? "off" : atomic_load(&fp->loaded) ? "active" : "unavailable";
    fn(arg, "fastpath_state", state);
    fn(arg, "fastpath_reason", fp->reason);
    wc_attach_describe(&fp->attach, hooks, sizeof(hooks));
    fn(arg, "fastpath_hooks", hooks);
    pthread_mutex_unlock(&fp->lock);
    if (!wc_fastpath_ready(fp))
        return;
    /* A recognised GET whose key the kernel does not have, or no longer. */
    wc_info_u64(fn, arg, "fastpath_misses",
                wc_kernel_counter(&fp->kernel, WC_CTR_PASS_NOT_HOT) +
                    wc_kernel_counter(&fp->kernel, WC_CTR_PASS_EMPTY) +
                    wc_kernel_counter(&fp->kernel, WC_CTR_PASS_EXPIRED));
    wc_info_u64(fn, arg, "fastpath_hot_keys", atomic_load(&fp->hot.assigned));
    wc_info_u64(fn, arg, "fastpath_hot_capacity", fp->kernel.nslots);
    wc_info_u64(fn, arg, "fastpath_promotions", atomic_load(&fp->hot.promotions));
    wc_info_u64(fn, arg, "fastpath_demotions", atomic_load(&fp->hot.demotions));
    wc_info_u64(fn, arg, "fastpath_conns", atomic_load(&fp->conns.nclaimed));
    wc_info_counters(&fp->kernel, fn, arg);
}
