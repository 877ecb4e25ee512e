/* What the command families share: handlers, reading of arguments, usual errors. */
#ifndef WC_CMD_INTERNAL_H
#define WC_CMD_INTERNAL_H

#include <string.h>

#include "cmd/cmd.h"
#include "cmd/table.h"

#define X(id, name, handler, ...) void handler(struct wc_cmd_ctx *ctx);
WC_COMMANDS(X)
#undef X

/* Rows of the table: wc_commands[WC_CMD_ID_get]. */
enum wc_cmd_id {
#define X(id, ...) WC_CMD_ID_##id,
    WC_COMMANDS(X)
#undef X
        WC_CMD_IDS
};
_Static_assert(WC_CMD_IDS <= WC_CMD_MAX, "struct wc_stats has a place for every command");

/* What we say we are, for clients that look at versions. */
#define WC_REDIS_VERSION "7.2.0"

#define WC_ERR_SYNTAX  "ERR syntax error"
#define WC_ERR_NOT_INT "ERR value is not an integer or out of range"

/* A number of the configuration that CONFIG SET may change meanwhile, read without the lock. */
#define WC_CONFIG_NOW(server, field) __atomic_load_n(&(server)->config.field, __ATOMIC_RELAXED)

/* Equal, regardless of case? word is lower case. */
bool wc_arg_is(const struct wc_arg *a, const char *word);
/* An integer exactly as Redis prints it: no blanks, no plus sign, no leading zeros. */
bool wc_parse_int64(const char *s, size_t len, int64_t *out);
/* Decimal digits of v, no NUL; returns their number. */
uint32_t wc_print_int64(char out[20], int64_t v);
/* Argument i as an integer; false: the reply is the usual error. */
bool wc_arg_int64(struct wc_cmd_ctx *ctx, uint32_t i, int64_t *out);
/* Argument i as a C string, cut to size - 1 bytes and at a NUL byte. */
const char *wc_arg_cstr(const struct wc_arg *a, char *buf, size_t size);

static inline struct wc_key wc_arg_key(const struct wc_cmd_ctx *ctx, uint32_t i)
{
    return (struct wc_key){
        .ptr = ctx->argv[i].ptr,
        .len = ctx->argv[i].len,
        .hash = wc_store_hash(ctx->argv[i].ptr, ctx->argv[i].len),
    };
}

/* Lock and unlock the shard of one key. */
static inline void wc_key_lock(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    wc_store_lock(ctx->server->store, wc_store_shard_of(ctx->server->store, key->hash));
}

static inline void wc_key_unlock(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    wc_store_unlock(ctx->server->store, wc_store_shard_of(ctx->server->store, key->hash));
}

/* The keys at argv[1], argv[1 + step], ...; without an allocation up to 64 of them. */
struct wc_keys {
    struct wc_key *key;
    size_t n;
    bool many; /* several of them are about to change: the observer has been told */
    struct wc_key small[64];
};

/* Hash the keys and lock their shards. false: out of memory, which is the reply. */
bool wc_keys_lock(struct wc_cmd_ctx *ctx, struct wc_keys *keys, uint32_t step);
void wc_keys_unlock(struct wc_cmd_ctx *ctx, struct wc_keys *keys);

/* Call before key i is looked up, in order: has the next few keys fetched into the cache together, where one after
 * the other would wait for memory each. */
static inline void wc_keys_prefetch(struct wc_cmd_ctx *ctx, const struct wc_keys *keys, size_t i)
{
    if (i % 16 == 0)
        wc_store_prefetch(ctx->server->store, ctx->client->db, keys->key + i, keys->n - i < 16 ? keys->n - i : 16);
}

/* Count a lookup for keyspace_hits and keyspace_misses, as Redis does for commands that read. */
static inline void wc_count_lookup(struct wc_cmd_ctx *ctx, bool hit)
{
    wc_stat_add(hit ? &ctx->stats->keyspace_hits : &ctx->stats->keyspace_misses, 1);
}

/* The store said no (-ENOMEM, -E2BIG). */
void wc_reply_store_error(struct wc_reply *r, int err);
/* "invalid expire time in 'set' command" */
void wc_reply_bad_expire(struct wc_cmd_ctx *ctx);
void wc_reply_wrong_arity(struct wc_reply *r, const char *command);
/* "unknown subcommand or wrong number of arguments for 'x'. Try DEBUG HELP." */
void wc_reply_bad_subcommand(struct wc_cmd_ctx *ctx);
/* The lines of X HELP: "CLIENT <subcommand> ...", the given ones, "HELP", "    Print this help." NULL ends the list. */
void wc_reply_help(struct wc_cmd_ctx *ctx, const char *const *lines);
/* The command this is, e.g. "client|setname". */
const char *wc_cmd_name(const struct wc_cmd_ctx *ctx);

/* A name for CLIENT SETNAME: printable, no blanks, not too long; false: the reply is an error. Empty is fine: no name.
 */
bool wc_client_check_name(struct wc_cmd_ctx *ctx, const struct wc_arg *name);
/* Takes clients_lock. The name has been checked. */
void wc_client_set_name(struct wc_cmd_ctx *ctx, const struct wc_arg *name);

#endif
