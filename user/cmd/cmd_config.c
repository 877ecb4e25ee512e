/* CONFIG. */
#include <errno.h>
#include <stdlib.h>

#include "cmd/internal.h"
#include "fastpath/fastpath.h"
#include "log.h"

/* ---- GET ---- */

#define NAMES_MAX 256

/* Collects name and value pairs, each name once, however many of the patterns it matches. */
struct matches {
    struct wc_reply pairs;
    const char *names[NAMES_MAX]; /* of the static table in config.c */
    size_t n;
};

static void add_match(void *arg, const char *name, const char *value)
{
    struct matches *m = arg;

    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->names[i], name) == 0)
            return;
    }
    if (m->n == NAMES_MAX)
        return;
    m->names[m->n++] = name;
    wc_reply_bulk_str(&m->pairs, name);
    wc_reply_bulk_str(&m->pairs, value);
}

void wc_cmd_config_get(struct wc_cmd_ctx *ctx)
{
    struct matches m = {.n = 0};
    char pattern[WC_CONFIG_STR];

    pthread_mutex_lock(&ctx->server->config_lock);
    for (uint32_t i = 2; i < ctx->argc; i++)
        wc_config_each(&ctx->server->config, wc_arg_cstr(&ctx->argv[i], pattern, sizeof(pattern)), add_match, &m);
    pthread_mutex_unlock(&ctx->server->config_lock);
    wc_reply_map(ctx->reply, m.n);
    if (m.n)
        wc_reply_raw(ctx->reply, m.pairs.buf, m.pairs.len);
    ctx->reply->failed |= m.pairs.failed;
    free(m.pairs.buf);
}

/* ---- SET ---- */

static void reply_set_failed(struct wc_cmd_ctx *ctx, const char *name, const char *why)
{
    wc_reply_errorf(ctx->reply, "ERR CONFIG SET failed (possibly related to argument '%s') - %s", name, why);
}

static bool same_name(const struct wc_arg *a, const struct wc_arg *b)
{
    return a->len == b->len && strncasecmp(a->ptr, b->ptr, a->len) == 0;
}

/* Was argv[i] named before? */
static bool is_repeated(const struct wc_cmd_ctx *ctx, uint32_t i)
{
    for (uint32_t j = 2; j < i; j += 2) {
        if (same_name(&ctx->argv[i], &ctx->argv[j]))
            return true;
    }
    return false;
}

/* Set argv[i] to argv[i + 1] in cfg. false: the reply is an error. */
static bool set_pair(struct wc_cmd_ctx *ctx, uint32_t i, struct wc_config *cfg)
{
    const struct wc_arg *value = &ctx->argv[i + 1];
    char name[129], text[4096], why[256] = "";
    int err;

    wc_arg_cstr(&ctx->argv[i], name, sizeof(name));
    if (value->len >= sizeof(text) || memchr(value->ptr, 0, value->len)) {
        reply_set_failed(ctx, name, "argument is too long or contains a zero byte");
        return false;
    }
    err = wc_config_set(cfg, name, wc_arg_cstr(value, text, sizeof(text)), why, sizeof(why));
    if (err == -ENOENT)
        wc_reply_errorf(ctx->reply, "ERR Unknown option or number of arguments for CONFIG SET - '%s'", name);
    else if (err == -EPERM)
        reply_set_failed(ctx, name, "can't set immutable config");
    else if (err)
        reply_set_failed(ctx, name, why);
    else if (is_repeated(ctx, i))
        reply_set_failed(ctx, name, "duplicate parameter");
    else
        return true;
    return false;
}

/* Other threads read single words without the lock, so write only those that change, each in one piece. */
static void publish(struct wc_config *to, const struct wc_config *from)
{
    typedef uint64_t __attribute__((may_alias)) word;
    word *old = (word *)to;
    const word *new = (const word *)from;

    _Static_assert(sizeof(*to) % sizeof(word) == 0 && _Alignof(struct wc_config) >= sizeof(word), "whole words");
    for (size_t i = 0; i < sizeof(*to) / sizeof(word); i++) {
        if (new[i] != old[i])
            __atomic_store_n(&old[i], new[i], __ATOMIC_RELAXED);
    }
}

/* config_lock is held. All or nothing: changes are made to a copy first. */
static bool config_set_locked(struct wc_cmd_ctx *ctx)
{
    struct wc_server *server = ctx->server;
    struct wc_config cfg = server->config;
    char why[256] = "";

    for (uint32_t i = 2; i < ctx->argc; i += 2) {
        if (!set_pair(ctx, i, &cfg))
            return false;
    }
    /* The one that can fail comes before those that cannot. */
    if (cfg.fastpath != server->config.fastpath &&
        wc_fastpath_set_mode(server->fastpath, cfg.fastpath, why, sizeof(why))) {
        reply_set_failed(ctx, "fastpath", why);
        return false;
    }
    wc_log_set_level(cfg.loglevel);
    publish(&server->config, &cfg);
    return true;
}

void wc_cmd_config_set(struct wc_cmd_ctx *ctx)
{
    bool done;

    if (ctx->argc % 2) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return;
    }
    pthread_mutex_lock(&ctx->server->config_lock);
    done = config_set_locked(ctx);
    pthread_mutex_unlock(&ctx->server->config_lock);
    if (done)
        wc_reply_ok(ctx->reply);
}

void wc_cmd_config_help(struct wc_cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        NULL,
    };

    wc_reply_help(ctx, lines);
}
