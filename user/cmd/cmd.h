/* The command table and how one command runs.
 *
 * Commands are rows of one X-macro table (cmd/table.h): name, handler, arity, flags, key positions, since,
 * group, summary. COMMAND, COMMAND DOCS, the arity check and statistics all come from it. One file per family.
 * A subcommand is a row of its own, named "client|id", right behind its container's row.
 */
#ifndef WC_CMD_H
#define WC_CMD_H

#include "server.h"

struct wc_cmd_ctx {
    struct wc_server *server;
    struct wc_client *client;
    struct wc_stats *stats; /* the worker's own */
    struct wc_reply *reply; /* append here, exactly one reply per command */
    uint32_t argc;          /* argv[0] is the command name */
    const struct wc_arg *argv;
    int64_t now_ms; /* wall clock at the start of the batch */
};

enum wc_cmd_flag {
    WC_CMD_WRITE = 1 << 0,
    WC_CMD_READONLY = 1 << 1,
    WC_CMD_FAST = 1 << 2,
    WC_CMD_ADMIN = 1 << 3,
    WC_CMD_DENYOOM = 1 << 4,
    WC_CMD_NO_AUTH = 1 << 5, /* allowed before AUTH */
    WC_CMD_LOADING = 1 << 6,
    WC_CMD_STALE = 1 << 7,
    WC_CMD_NOSCRIPT = 1 << 8,
    WC_CMD_NO_MULTI = 1 << 9,
    WC_CMD_ALLOW_BUSY = 1 << 10,
    WC_CMD_DANGEROUS = 1 << 11, /* ACL category, not shown as a flag */
    WC_CMD_CONTAINER = 1 << 12, /* subcommands follow; likewise not shown */
};

struct wc_command {
    const char *name; /* lower case */
    void (*handler)(struct wc_cmd_ctx *ctx);
    int arity; /* as in Redis: negative = at least */
    uint32_t flags;
    int first_key, last_key, key_step;
    const char *since, *group, *summary;
};

/* Run ctx->argv (argc >= 1): look up, check authentication and arity, call the handler, count. Never fails: errors are
 * replies. */
void wc_cmd_execute(struct wc_cmd_ctx *ctx);

/* The table. */
extern const struct wc_command wc_commands[];
extern const int wc_command_count;
/* Case-insensitive, also "client|id"; NULL when unknown. */
const struct wc_command *wc_cmd_lookup(const char *name, uint32_t len);

/* Is this client, as it stands, one whose GETs the kernel may answer? (authenticated, database 0, ...) */
bool wc_client_fastpath_eligible(const struct wc_server *server, const struct wc_client *client);
/* A fresh client: next id, database 0, RESP2, authenticated if there is no password. addr and laddr are the caller's.
 */
void wc_client_init(struct wc_client *client, struct wc_server *server, int fd);

#endif
