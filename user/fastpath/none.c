/* A build without the kernel half (make FASTPATH=0): the same calls, which say so. */
#include "fastpath/fastpath.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define WC_NONE_REASON "built without the fast path (FASTPATH=0)"

struct wc_fastpath *wc_fastpath_new(const struct wc_config *cfg, struct wc_store *store)
{
    (void)store;
    if (cfg->fastpath != WC_FASTPATH_OFF)
        wc_log(WC_LOG_WARNING, "fast path unavailable, serving without it: " WC_NONE_REASON);
    return NULL;
}

void wc_fastpath_free(struct wc_fastpath *fp)
{
    (void)fp;
}

int wc_fastpath_set_mode(struct wc_fastpath *fp, enum wc_fastpath_mode mode, char *err, size_t errlen)
{
    (void)fp;
    if (mode == WC_FASTPATH_OFF)
        return 0;
    snprintf(err, errlen, WC_NONE_REASON);
    return -EOPNOTSUPP;
}

int wc_fastpath_conn_open(struct wc_fastpath *fp, int fd)
{
    (void)fp;
    (void)fd;
    return -1;
}

void wc_fastpath_conn_progress(struct wc_fastpath *fp, int conn, uint32_t consumed, uint32_t produced, bool eligible,
                               bool resp3)
{
    (void)fp;
    (void)conn;
    (void)consumed;
    (void)produced;
    (void)eligible;
    (void)resp3;
}

int64_t wc_fastpath_conn_idle_ms(struct wc_fastpath *fp, int conn)
{
    (void)fp;
    (void)conn;
    return INT64_MAX;
}

void wc_fastpath_conn_close(struct wc_fastpath *fp, int conn)
{
    (void)fp;
    (void)conn;
}

void wc_fastpath_saw_get(struct wc_fastpath *fp, const struct wc_key *key, bool hit, uint32_t value_len)
{
    (void)fp;
    (void)key;
    (void)hit;
    (void)value_len;
}

void wc_fastpath_totals(struct wc_fastpath *fp, struct wc_fastpath_totals *out)
{
    (void)fp;
    memset(out, 0, sizeof(*out));
}

void wc_fastpath_info(struct wc_fastpath *fp, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    (void)fp;
    fn(arg, "fastpath_state", "unavailable");
    fn(arg, "fastpath_reason", WC_NONE_REASON);
    fn(arg, "fastpath_hooks", "");
}
