/* Keys as such: DEL, EXISTS, TYPE and the commands about expiry. */
#include <errno.h>

#include "cmd/internal.h"

/* Count the keys for which fn is true, under all their locks. */
static void count_keys(struct wc_cmd_ctx *ctx, bool (*fn)(struct wc_cmd_ctx *, const struct wc_key *))
{
    struct wc_keys keys;
    int64_t n = 0;

    if (!wc_keys_lock(ctx, &keys, 1))
        return;
    for (size_t i = 0; i < keys.n; i++) {
        wc_keys_prefetch(ctx, &keys, i);
        n += fn(ctx, &keys.key[i]);
    }
    wc_keys_unlock(ctx, &keys);
    wc_reply_int(ctx->reply, n);
}

static struct wc_entry *find(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    return wc_store_find(ctx->server->store, ctx->client->db, key, ctx->now_ms);
}

static bool delete_one(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    return wc_store_delete(ctx->server->store, ctx->client->db, key, ctx->now_ms);
}

static bool exists_one(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    bool hit = find(ctx, key) != NULL;

    wc_count_lookup(ctx, hit);
    return hit;
}

static bool touch_one(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    struct wc_entry *e = find(ctx, key);

    wc_count_lookup(ctx, e != NULL);
    if (e)
        wc_store_touch(ctx->server->store, key, e, ctx->now_ms);
    return e != NULL;
}

void wc_cmd_del(struct wc_cmd_ctx *ctx)
{
    count_keys(ctx, delete_one);
}

void wc_cmd_exists(struct wc_cmd_ctx *ctx)
{
    count_keys(ctx, exists_one);
}

void wc_cmd_touch(struct wc_cmd_ctx *ctx)
{
    count_keys(ctx, touch_one);
}

/* ---- reading one key's state ---- */

enum { NO_KEY = -2 };

/* When the key expires: ms, WC_NO_EXPIRE or NO_KEY. */
static int64_t expire_of(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    const struct wc_entry *e;
    int64_t at_ms;

    wc_key_lock(ctx, &key);
    e = find(ctx, &key);
    at_ms = e ? wc_entry_expire(e) : NO_KEY;
    wc_key_unlock(ctx, &key);
    wc_count_lookup(ctx, at_ms != NO_KEY);
    return at_ms;
}

void wc_cmd_type(struct wc_cmd_ctx *ctx)
{
    wc_reply_simple(ctx->reply, expire_of(ctx) == NO_KEY ? "none" : "string");
}

/* Replies with the rest of the life, or its end, in ms or rounded to seconds; -1 no expiry, -2 no key. */
static void reply_expire(struct wc_cmd_ctx *ctx, bool relative, bool seconds)
{
    int64_t ms = expire_of(ctx);

    if (ms >= 0 && relative)
        ms = ms > ctx->now_ms ? ms - ctx->now_ms : 0;
    if (ms >= 0 && seconds)
        ms = ms / 1000 + (ms % 1000 >= 500); /* no overflow, unlike (ms + 500) / 1000 */
    wc_reply_int(ctx->reply, ms);
}

void wc_cmd_ttl(struct wc_cmd_ctx *ctx)
{
    reply_expire(ctx, true, true);
}

void wc_cmd_pttl(struct wc_cmd_ctx *ctx)
{
    reply_expire(ctx, true, false);
}

void wc_cmd_expiretime(struct wc_cmd_ctx *ctx)
{
    reply_expire(ctx, false, true);
}

void wc_cmd_pexpiretime(struct wc_cmd_ctx *ctx)
{
    reply_expire(ctx, false, false);
}

/* ---- changing the expiry ---- */

enum { IF_NX = 1, IF_XX = 2, IF_GT = 4, IF_LT = 8 };

/* The conditions from argv[3] on, or -1: the reply is an error. */
static int parse_conditions(struct wc_cmd_ctx *ctx)
{
    static const struct {
        const char *word;
        int flag;
    } words[] = {{"nx", IF_NX}, {"xx", IF_XX}, {"gt", IF_GT}, {"lt", IF_LT}};
    int flags = 0;

    for (uint32_t i = 3; i < ctx->argc; i++) {
        size_t w = 0;
        char word[129];

        while (w < 4 && !wc_arg_is(&ctx->argv[i], words[w].word))
            w++;
        if (w == 4) {
            wc_reply_errorf(ctx->reply, "ERR Unsupported option %s", wc_arg_cstr(&ctx->argv[i], word, sizeof(word)));
            return -1;
        }
        flags |= words[w].flag;
    }
    if (flags & IF_NX && flags & ~IF_NX) {
        wc_reply_error(ctx->reply, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return -1;
    }
    if (flags & IF_GT && flags & IF_LT) {
        wc_reply_error(ctx->reply, "ERR GT and LT options at the same time are not compatible");
        return -1;
    }
    return flags;
}

/* A key without expiry counts as living for ever. */
static bool conditions_hold(int flags, int64_t current, int64_t at_ms)
{
    if (flags & IF_NX && current != WC_NO_EXPIRE)
        return false;
    if (flags & IF_XX && current == WC_NO_EXPIRE)
        return false;
    if (flags & IF_GT && (current == WC_NO_EXPIRE || at_ms <= current))
        return false;
    return !(flags & IF_LT && current != WC_NO_EXPIRE && at_ms >= current);
}

/* Shard locked. 1 done, 0 not, or -errno. */
static int expire_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key, int64_t at_ms, int flags)
{
    struct wc_entry *e = find(ctx, key);

    if (!e || !conditions_hold(flags, wc_entry_expire(e), at_ms))
        return 0;
    if (at_ms <= ctx->now_ms) {
        delete_one(ctx, key);
        return 1;
    }
    return wc_store_set_expire(ctx->server->store, ctx->client->db, key, e, at_ms) ? 1 : -ENOMEM;
}

static void expire(struct wc_cmd_ctx *ctx, bool relative, bool seconds)
{
    int flags = parse_conditions(ctx), done;
    struct wc_key key;
    int64_t at_ms;

    if (flags < 0 || !wc_arg_int64(ctx, 2, &at_ms))
        return;
    if ((seconds && __builtin_mul_overflow(at_ms, 1000, &at_ms)) ||
        (relative && __builtin_add_overflow(at_ms, ctx->now_ms, &at_ms))) {
        wc_reply_bad_expire(ctx);
        return;
    }
    key = wc_arg_key(ctx, 1);
    wc_key_lock(ctx, &key);
    done = expire_locked(ctx, &key, at_ms, flags);
    wc_key_unlock(ctx, &key);
    if (done < 0)
        wc_reply_store_error(ctx->reply, done);
    else
        wc_reply_int(ctx->reply, done);
}

void wc_cmd_expire(struct wc_cmd_ctx *ctx)
{
    expire(ctx, true, true);
}

void wc_cmd_pexpire(struct wc_cmd_ctx *ctx)
{
    expire(ctx, true, false);
}

void wc_cmd_expireat(struct wc_cmd_ctx *ctx)
{
    expire(ctx, false, true);
}

void wc_cmd_pexpireat(struct wc_cmd_ctx *ctx)
{
    expire(ctx, false, false);
}

static int persist_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    struct wc_entry *e = find(ctx, key);

    if (!e || wc_entry_expire(e) == WC_NO_EXPIRE)
        return 0;
    return wc_store_set_expire(ctx->server->store, ctx->client->db, key, e, WC_NO_EXPIRE) ? 1 : -ENOMEM;
}

void wc_cmd_persist(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    int done;

    wc_key_lock(ctx, &key);
    done = persist_locked(ctx, &key);
    wc_key_unlock(ctx, &key);
    if (done < 0)
        wc_reply_store_error(ctx->reply, done);
    else
        wc_reply_int(ctx->reply, done);
}
