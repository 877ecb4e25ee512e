/* Reading and writing whole values: GET, SET and their variants. */
#include <errno.h>

#include "cmd/internal.h"
#include "fastpath/fastpath.h"

/* ---- reading ---- */

/* The live entry of a key that a command reads: counted as a hit or miss, marked as used. Shard locked. */
static struct wc_entry *find_to_read(struct wc_cmd_ctx *ctx, const struct wc_key *key)
{
    struct wc_entry *e = wc_store_find(ctx->server->store, ctx->client->db, key, ctx->now_ms);

    wc_count_lookup(ctx, e != NULL);
    if (e)
        wc_store_touch(ctx->server->store, key, e, ctx->now_ms);
    return e;
}

/* The value of e, or null when e is NULL. Returns its length. */
static uint32_t reply_value(struct wc_cmd_ctx *ctx, const struct wc_entry *e)
{
    char scratch[24];
    struct wc_value value;

    if (!e) {
        wc_reply_null(ctx->reply);
        return 0;
    }
    value = wc_entry_value(e, scratch);
    wc_reply_bulk(ctx->reply, value.ptr, value.len);
    return value.len;
}

void wc_cmd_get(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_entry *e;
    uint32_t len;
    bool hit;

    wc_key_lock(ctx, &key);
    e = find_to_read(ctx, &key);
    hit = e != NULL;
    len = reply_value(ctx, e);
    wc_key_unlock(ctx, &key);
    if (ctx->client->db == 0)
        wc_fastpath_saw_get(ctx->server->fastpath, &key, hit, len);
}

void wc_cmd_mget(struct wc_cmd_ctx *ctx)
{
    struct wc_keys keys;

    if (!wc_keys_lock(ctx, &keys, 1))
        return;
    wc_reply_array(ctx->reply, keys.n);
    for (size_t i = 0; i < keys.n; i++) {
        wc_keys_prefetch(ctx, &keys, i);
        reply_value(ctx, find_to_read(ctx, &keys.key[i]));
    }
    wc_keys_unlock(ctx, &keys);
}

void wc_cmd_getdel(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_entry *e;

    wc_key_lock(ctx, &key);
    e = find_to_read(ctx, &key);
    reply_value(ctx, e);
    if (e)
        wc_store_delete(ctx->server->store, ctx->client->db, &key, ctx->now_ms);
    wc_key_unlock(ctx, &key);
}

/* ---- options of SET and GETEX ---- */

enum {
    OPT_NX = 1 << 0,
    OPT_XX = 1 << 1,
    OPT_GET = 1 << 2,
    OPT_KEEPTTL = 1 << 3,
    OPT_PERSIST = 1 << 4,
    OPT_EX = 1 << 5,
    OPT_PX = 1 << 6,
    OPT_EXAT = 1 << 7,
    OPT_PXAT = 1 << 8,
    OPT_TIMES = OPT_EX | OPT_PX | OPT_EXAT | OPT_PXAT,
    OPT_TTL = OPT_KEEPTTL | OPT_PERSIST | OPT_TIMES,
    FOR_SET = 1 << 0,
    FOR_GETEX = 1 << 1,
};

/* An option may be repeated, but not stand next to one of its rivals. */
static const struct option {
    const char *word;
    int flag, rivals, commands;
} options[] = {
    {"nx", OPT_NX, OPT_XX, FOR_SET},
    {"xx", OPT_XX, OPT_NX, FOR_SET},
    {"get", OPT_GET, 0, FOR_SET},
    {"keepttl", OPT_KEEPTTL, OPT_TTL & ~OPT_KEEPTTL, FOR_SET},
    {"persist", OPT_PERSIST, OPT_TTL & ~OPT_PERSIST, FOR_GETEX},
    {"ex", OPT_EX, OPT_TTL & ~OPT_EX, FOR_SET | FOR_GETEX},
    {"px", OPT_PX, OPT_TTL & ~OPT_PX, FOR_SET | FOR_GETEX},
    {"exat", OPT_EXAT, OPT_TTL & ~OPT_EXAT, FOR_SET | FOR_GETEX},
    {"pxat", OPT_PXAT, OPT_TTL & ~OPT_PXAT, FOR_SET | FOR_GETEX},
};

struct set_options {
    int flags;
    uint32_t time_arg; /* argv index of the time, if flags & OPT_TIMES */
};

static const struct option *find_option(const struct wc_arg *arg, int command, int flags)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (wc_arg_is(arg, options[i].word))
            return options[i].commands & command && !(flags & options[i].rivals) ? &options[i] : NULL;
    }
    return NULL;
}

/* false: the reply is a syntax error. */
static bool parse_options(struct wc_cmd_ctx *ctx, uint32_t from, int command, struct set_options *out)
{
    *out = (struct set_options){0};
    for (uint32_t i = from; i < ctx->argc; i++) {
        const struct option *opt = find_option(&ctx->argv[i], command, out->flags);

        if (!opt || (opt->flag & OPT_TIMES && i + 1 == ctx->argc)) {
            wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
            return false;
        }
        out->flags |= opt->flag;
        if (opt->flag & OPT_TIMES)
            out->time_arg = ++i;
    }
    return true;
}

/* The point in time that argument i means, as EX, PX, EXAT or PXAT; false: the reply is an error. */
static bool parse_time(struct wc_cmd_ctx *ctx, uint32_t i, int how, int64_t *at_ms)
{
    bool seconds = how & (OPT_EX | OPT_EXAT), relative = how & (OPT_EX | OPT_PX);

    if (!wc_arg_int64(ctx, i, at_ms))
        return false;
    if (*at_ms <= 0 || (seconds && __builtin_mul_overflow(*at_ms, 1000, at_ms)) ||
        (relative && __builtin_add_overflow(*at_ms, ctx->now_ms, at_ms))) {
        wc_reply_bad_expire(ctx);
        return false;
    }
    return true;
}

/* ---- writing ---- */

/* Store, or delete when the expiry has passed already. Shard locked. */
static int put(struct wc_cmd_ctx *ctx, const struct wc_key *key, const struct wc_arg *value, int64_t expire_at_ms)
{
    struct wc_store *store = ctx->server->store;

    if (expire_at_ms != WC_NO_EXPIRE && expire_at_ms <= ctx->now_ms) {
        wc_store_delete(store, ctx->client->db, key, ctx->now_ms);
        return 0;
    }
    return wc_store_set(store, ctx->client->db, key, value->ptr, value->len, expire_at_ms);
}

/* SET of argv[1] to value under the conditions in flags. The reply of the old value (OPT_GET) is written first and
 * taken back if the store fails; it leaves the server long after the change was made, as all replies do. Returns
 * whether the value was stored; 0, 1 or -errno. */
static int set_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key, const struct wc_arg *value, int flags,
                      int64_t expire_at_ms)
{
    size_t mark = ctx->reply->len;
    int err;

    if (flags & (OPT_NX | OPT_XX | OPT_GET | OPT_KEEPTTL)) {
        struct wc_entry *e = wc_store_find(ctx->server->store, ctx->client->db, key, ctx->now_ms);

        if (flags & OPT_GET) {
            wc_count_lookup(ctx, e != NULL);
            reply_value(ctx, e);
        }
        if (e ? flags & OPT_NX : flags & OPT_XX)
            return 0;
        if (flags & OPT_KEEPTTL && e)
            expire_at_ms = wc_entry_expire(e);
    }
    err = put(ctx, key, value, expire_at_ms);
    if (!err)
        return 1;
    ctx->reply->len = mark;
    return err;
}

static int set(struct wc_cmd_ctx *ctx, const struct wc_arg *value, int flags, int64_t expire_at_ms)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    int stored;

    wc_key_lock(ctx, &key);
    stored = set_locked(ctx, &key, value, flags, expire_at_ms);
    wc_key_unlock(ctx, &key);
    if (stored < 0)
        wc_reply_store_error(ctx->reply, stored);
    return stored;
}

void wc_cmd_set(struct wc_cmd_ctx *ctx)
{
    struct set_options opt = {0};
    int64_t expire_at_ms = WC_NO_EXPIRE;
    int stored;

    if (ctx->argc > 3 && !parse_options(ctx, 3, FOR_SET, &opt))
        return;
    if (opt.flags & OPT_TIMES && !parse_time(ctx, opt.time_arg, opt.flags, &expire_at_ms))
        return;
    stored = set(ctx, &ctx->argv[2], opt.flags, expire_at_ms);
    if (stored < 0 || opt.flags & OPT_GET)
        return;
    if (stored)
        wc_reply_ok(ctx->reply);
    else
        wc_reply_null(ctx->reply);
}

void wc_cmd_setnx(struct wc_cmd_ctx *ctx)
{
    int stored = set(ctx, &ctx->argv[2], OPT_NX, WC_NO_EXPIRE);

    if (stored >= 0)
        wc_reply_int(ctx->reply, stored);
}

void wc_cmd_getset(struct wc_cmd_ctx *ctx)
{
    set(ctx, &ctx->argv[2], OPT_GET, WC_NO_EXPIRE);
}

static void set_with_time(struct wc_cmd_ctx *ctx, int how)
{
    int64_t at_ms;

    if (parse_time(ctx, 2, how, &at_ms) && set(ctx, &ctx->argv[3], 0, at_ms) > 0)
        wc_reply_ok(ctx->reply);
}

void wc_cmd_setex(struct wc_cmd_ctx *ctx)
{
    set_with_time(ctx, OPT_EX);
}

void wc_cmd_psetex(struct wc_cmd_ctx *ctx)
{
    set_with_time(ctx, OPT_PX);
}

/* Set, take off or let pass the expiry of an entry just read. Returns 0 or -ENOMEM. */
static int getex_expire(struct wc_cmd_ctx *ctx, const struct wc_key *key, struct wc_entry *e, int flags, int64_t at_ms)
{
    struct wc_store *store = ctx->server->store;

    if (flags & OPT_TIMES && at_ms <= ctx->now_ms)
        wc_store_delete(store, ctx->client->db, key, ctx->now_ms);
    else if (flags & OPT_TIMES || (flags & OPT_PERSIST && wc_entry_expire(e) != WC_NO_EXPIRE))
        return wc_store_set_expire(store, ctx->client->db, key, e, at_ms) ? 0 : -ENOMEM;
    return 0;
}

void wc_cmd_getex(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    size_t mark = ctx->reply->len;
    int64_t at_ms = WC_NO_EXPIRE;
    struct set_options opt;
    struct wc_entry *e;
    int err = 0;

    if (!parse_options(ctx, 2, FOR_GETEX, &opt))
        return;
    wc_key_lock(ctx, &key);
    e = find_to_read(ctx, &key);
    /* As in Redis, the time is looked at only if there is a key. */
    if (!e || !(opt.flags & OPT_TIMES) || parse_time(ctx, opt.time_arg, opt.flags, &at_ms)) {
        reply_value(ctx, e);
        if (e)
            err = getex_expire(ctx, &key, e, opt.flags, at_ms);
    }
    wc_key_unlock(ctx, &key);
    if (err) {
        ctx->reply->len = mark;
        wc_reply_store_error(ctx->reply, err);
    }
}

/* ---- several keys ---- */

static bool any_exists(struct wc_cmd_ctx *ctx, const struct wc_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (wc_store_find(ctx->server->store, ctx->client->db, &keys->key[i], ctx->now_ms))
            return true;
    }
    return false;
}

/* 1: stored; 0: not, because of nx; -errno; -EINVAL: an odd number of arguments. The reply is written on errors. */
static int mset(struct wc_cmd_ctx *ctx, bool nx)
{
    struct wc_keys keys;
    int err = 0;

    if (ctx->argc % 2 == 0) {
        wc_reply_wrong_arity(ctx->reply, wc_cmd_name(ctx));
        return -EINVAL;
    }
    if (!wc_keys_lock(ctx, &keys, 2))
        return -ENOMEM;
    if (nx && any_exists(ctx, &keys)) {
        wc_keys_unlock(ctx, &keys);
        return 0;
    }
    for (size_t i = 0; i < keys.n && !err; i++) {
        wc_keys_prefetch(ctx, &keys, i);
        err = put(ctx, &keys.key[i], &ctx->argv[2 + 2 * i], WC_NO_EXPIRE);
    }
    wc_keys_unlock(ctx, &keys);
    if (err)
        wc_reply_store_error(ctx->reply, err);
    return err ? err : 1;
}

void wc_cmd_mset(struct wc_cmd_ctx *ctx)
{
    if (mset(ctx, false) > 0)
        wc_reply_ok(ctx->reply);
}

void wc_cmd_msetnx(struct wc_cmd_ctx *ctx)
{
    int stored = mset(ctx, true);

    if (stored >= 0)
        wc_reply_int(ctx->reply, stored);
}
