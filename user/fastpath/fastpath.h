/* The kernel half, as the server sees it. Built without libbpf (FASTPATH=0) the same calls exist and say so.
 *
 * Every call takes a NULL fastpath and then does nothing.
 */
#ifndef WC_FASTPATH_H
#define WC_FASTPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "store/store.h"

struct wc_fastpath;

/* Create, and start unless the mode is off. Never fails for lack of rights or kernel features: the object then
 * says why (one log line, wc_fastpath_info). Registers itself as the store's observer; call before workers run.
 * NULL only when out of memory. */
struct wc_fastpath *wc_fastpath_new(const struct wc_config *cfg, struct wc_store *store);
/* After all clients are closed: wait up to two seconds until they have acknowledged it, then detach, unpin, free. */
void wc_fastpath_free(struct wc_fastpath *fp);

/* CONFIG SET fastpath. 0 or -errno with a reason in err. */
int wc_fastpath_set_mode(struct wc_fastpath *fp, enum wc_fastpath_mode mode, char *err, size_t errlen);

/* A TCP connection was accepted on fd. Returns its connection number, or -1: not accelerated. */
int wc_fastpath_conn_open(struct wc_fastpath *fp, int fd);
/* The worker has executed `consumed` request bytes and produced `produced` reply bytes since accept (totals, modulo
 * 2^32). Call after a batch is executed and before its replies are sent. `eligible`: the kernel may answer this
 * client's GETs from here on. resp3: the client speaks RESP3. */
void wc_fastpath_conn_progress(struct wc_fastpath *fp, int conn, uint32_t consumed, uint32_t produced, bool eligible,
                               bool resp3);
/* When the kernel last answered this connection: milliseconds ago, or INT64_MAX for never. What the kernel serves looks
 * idle from userspace; `timeout` and CLIENT LIST ask here. */
int64_t wc_fastpath_conn_idle_ms(struct wc_fastpath *fp, int conn);
/* The worker is done with the connection; call before close(fd). */
void wc_fastpath_conn_close(struct wc_fastpath *fp, int conn);

/* A GET of database 0 that userspace answered (hit or miss): feeds the choice of hot keys. Shard lock not held. */
void wc_fastpath_saw_get(struct wc_fastpath *fp, const struct wc_key *key, bool hit, uint32_t value_len);

/* Kernel-side totals to be added to keyspace_hits, keyspace_misses, commands processed and bytes. */
struct wc_fastpath_totals {
    uint64_t hits;   /* GETs answered with a value */
    uint64_t misses; /* GETs answered with a null */
    uint64_t in_bytes, out_bytes;
};
void wc_fastpath_totals(struct wc_fastpath *fp, struct wc_fastpath_totals *out);

/* INFO's fields, in order: fn(arg, name, value), names as in `fastpath_state`. Works with fp NULL. */
void wc_fastpath_info(struct wc_fastpath *fp, void (*fn)(void *arg, const char *name, const char *value), void *arg);

#endif
