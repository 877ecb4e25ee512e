/* The statistics of all workers together, and the kernel's share of them. */
#ifndef WC_CMD_TOTALS_H
#define WC_CMD_TOTALS_H

#include "fastpath/fastpath.h"
#include "server.h"

struct wc_totals {
    struct wc_stats stats;            /* with the kernel's share added where Redis's fields mean both */
    struct wc_fastpath_totals kernel; /* its share alone */
    uint64_t expired_keys, evicted_keys;
    uint64_t commands_per_s, in_per_s, out_per_s; /* since an INFO at least 100 ms ago */
};

/* Since start or the last wc_totals_reset(). Takes config_lock. */
void wc_totals_get(struct wc_server *server, int64_t now_ms, struct wc_totals *out);
/* CONFIG RESETSTAT. Takes config_lock. */
void wc_totals_reset(struct wc_server *server);

#endif
