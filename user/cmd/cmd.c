/* Finding a command, the checks before it runs, and counting. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <time.h>

#include "cmd/internal.h"

/* ---- the table ---- */

const struct wc_command wc_commands[] = {
#define X(id, ...) {__VA_ARGS__},
    WC_COMMANDS(X)
#undef X
};
const int wc_command_count = WC_CMD_IDS;

/* Name to row: open addressing with linear probing, row + 1, 0 is empty. Filled before main(), constant from then on.
 */
#define INDEX_SIZE 512
_Static_assert(WC_CMD_IDS < INDEX_SIZE / 2, "the index stays sparse");
static uint16_t name_index[INDEX_SIZE];

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Length and three letters; bit 5, the case, is set in all of them. */
static inline uint32_t name_hash(const char *name, uint32_t len)
{
    uint32_t a = name[0] | 0x20, b = name[len / 2] | 0x20, c = name[len - 1] | 0x20;

    return ((a << 16 ^ b << 8 ^ c ^ len << 24) * 0x9e3779b1u) >> 23;
}
_Static_assert(INDEX_SIZE == 1 << (32 - 23), "name_hash() yields an index");

static inline bool same_name(const char *row, const char *name, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        if (row[i] != lower(name[i])) /* a NUL in name differs from the row's letters, and ends the row itself */
            return false;
    }
    return row[len] == 0;
}

/* A command, not a subcommand. */
static const struct wc_command *find_name(const char *name, uint32_t len)
{
    if (len == 0)
        return NULL;
    for (uint32_t i = name_hash(name, len); name_index[i]; i = (i + 1) % INDEX_SIZE) {
        const struct wc_command *cmd = &wc_commands[name_index[i] - 1];

        if (same_name(cmd->name, name, len))
            return cmd;
    }
    return NULL;
}

__attribute__((constructor)) static void fill_index(void)
{
    for (int row = 0; row < WC_CMD_IDS; row++) {
        const char *name = wc_commands[row].name;
        uint32_t i = name_hash(name, (uint32_t)strlen(name));

        if (strchr(name, '|'))
            continue;
        while (name_index[i])
            i = (i + 1) % INDEX_SIZE;
        name_index[i] = (uint16_t)(row + 1);
    }
}

/* The row behind a container that is this subcommand, or NULL. */
static const struct wc_command *find_sub(const struct wc_command *container, const char *name, uint32_t len)
{
    size_t prefix = strlen(container->name);

    for (const struct wc_command *sub = container + 1; sub < wc_commands + WC_CMD_IDS; sub++) {
        if (strncmp(sub->name, container->name, prefix) != 0 || sub->name[prefix] != '|')
            break;
        if (same_name(sub->name + prefix + 1, name, len))
            return sub;
    }
    return NULL;
}

const struct wc_command *wc_cmd_lookup(const char *name, uint32_t len)
{
    const char *bar = memchr(name, '|', len);
    const struct wc_command *container;

    if (!bar)
        return find_name(name, len);
    container = find_name(name, (uint32_t)(bar - name));
    return container ? find_sub(container, bar + 1, len - (uint32_t)(bar + 1 - name)) : NULL;
}

static const struct wc_command *find_command(const struct wc_cmd_ctx *ctx)
{
    const struct wc_command *cmd = find_name(ctx->argv[0].ptr, ctx->argv[0].len);

    if (cmd && cmd->flags & WC_CMD_CONTAINER && ctx->argc > 1)
        return find_sub(cmd, ctx->argv[1].ptr, ctx->argv[1].len);
    return cmd;
}

/* ---- refusals ---- */

/* Redis's text, which quotes at most 128 bytes of the arguments, each up to a NUL. */
static void reply_unknown(struct wc_cmd_ctx *ctx)
{
    const struct wc_command *container = find_name(ctx->argv[0].ptr, ctx->argv[0].len);
    char name[129], args[160], arg[129];
    size_t len = 0;

    wc_arg_cstr(&ctx->argv[0], name, sizeof(name));
    if (container && container->flags & WC_CMD_CONTAINER && ctx->argc > 1) {
        for (char *p = name; *p; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 0x20) : *p;
        wc_reply_errorf(ctx->reply, "ERR unknown subcommand '%s'. Try %s HELP.",
                        wc_arg_cstr(&ctx->argv[1], arg, sizeof(arg)), name);
        return;
    }
    args[0] = 0;
    for (uint32_t i = 1; i < ctx->argc && len < 128; i++)
        len += (size_t)snprintf(args + len, sizeof(args) - len, "'%.*s' ", (int)(128 - len),
                                wc_arg_cstr(&ctx->argv[i], arg, sizeof(arg)));
    wc_reply_errorf(ctx->reply, "ERR unknown command '%s', with args beginning with: %s", name, args);
}

static bool arity_fits(const struct wc_command *cmd, uint32_t argc)
{
    return cmd->arity >= 0 ? argc == (uint32_t)cmd->arity : argc >= (uint32_t)-cmd->arity;
}

static bool must_authenticate(const struct wc_cmd_ctx *ctx, const struct wc_command *cmd)
{
    /* One byte, read without the lock: CONFIG SET requirepass "" lets everybody in. */
    return !ctx->client->authenticated && !(cmd->flags & WC_CMD_NO_AUTH) && WC_CONFIG_NOW(ctx->server, requirepass[0]);
}

/* How each maxmemory-policy evicts. */
static const struct {
    enum wc_evict_by by;
    bool volatile_only;
} policies[] = {
    [WC_POLICY_NOEVICTION] = {WC_EVICT_RANDOM, false}, /* not looked at */
    [WC_POLICY_ALLKEYS_LRU] = {WC_EVICT_LRU, false},       [WC_POLICY_ALLKEYS_LFU] = {WC_EVICT_LFU, false},
    [WC_POLICY_ALLKEYS_RANDOM] = {WC_EVICT_RANDOM, false}, [WC_POLICY_VOLATILE_LRU] = {WC_EVICT_LRU, true},
    [WC_POLICY_VOLATILE_LFU] = {WC_EVICT_LFU, true},       [WC_POLICY_VOLATILE_RANDOM] = {WC_EVICT_RANDOM, true},
    [WC_POLICY_VOLATILE_TTL] = {WC_EVICT_TTL, true},
};

/* One command evicts no more than this and some times what it brings: when maxmemory was lowered, the excess is worked
 * off by many commands, a little by each, and still shrinks. */
#define EVICT_BYTES 65536
#define EVICT_TIMES 4

static uint64_t argument_bytes(const struct wc_cmd_ctx *ctx)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < ctx->argc; i++)
        sum += ctx->argv[i].len;
    return sum;
}

/* Memory is over the limit: make room. false: there is nothing (more) that may go. */
static bool make_room(const struct wc_cmd_ctx *ctx, uint64_t limit)
{
    enum wc_maxmemory_policy policy = WC_CONFIG_NOW(ctx->server, maxmemory_policy);
    uint64_t quota = EVICT_BYTES + EVICT_TIMES * argument_bytes(ctx), gained = 0;
    struct wc_store *store = ctx->server->store;

    if (policy == WC_POLICY_NOEVICTION)
        return false;
    while (gained < quota && wc_store_used_estimate(store) > limit) {
        size_t bytes = wc_store_evict(store, policies[policy].by, policies[policy].volatile_only, ctx->now_ms);

        if (!bytes)
            return false;
        gained += bytes;
    }
    return true;
}

static bool out_of_memory(const struct wc_cmd_ctx *ctx, const struct wc_command *cmd)
{
    uint64_t limit = WC_CONFIG_NOW(ctx->server, maxmemory);

    return limit && cmd->flags & WC_CMD_DENYOOM && wc_store_used_estimate(ctx->server->store) > limit &&
           !make_room(ctx, limit);
}

/* true: the command must not run, and the reply says why. */
static bool refuse(struct wc_cmd_ctx *ctx, const struct wc_command *cmd)
{
    if (!arity_fits(cmd, ctx->argc))
        wc_reply_wrong_arity(ctx->reply, cmd->name);
    else if (must_authenticate(ctx, cmd))
        wc_reply_error(ctx->reply, "NOAUTH Authentication required.");
    else if (out_of_memory(ctx, cmd))
        wc_reply_error(ctx->reply, "OOM command not allowed when used memory > 'maxmemory'.");
    else
        return false;
    return true;
}

/* ---- running ---- */

/* Most commands take hardly more time than two clock readings. Of the frequent ones, those with keys and PING and the
 * like, one call in this many is timed and counts for all; the others are rare and differ more. */
#define TIME_EVERY 64

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void run_timed(struct wc_cmd_ctx *ctx, const struct wc_command *cmd, uint64_t weight)
{
    _Atomic uint64_t *usec = &ctx->stats->cmd_usec[cmd - wc_commands];
    uint64_t start = now_ns();

    cmd->handler(ctx);
    wc_stat_add(usec, (now_ns() - start) * weight / 1000);
}

void wc_cmd_execute(struct wc_cmd_ctx *ctx)
{
    const struct wc_command *cmd = find_command(ctx);
    size_t start = ctx->reply->len;
    struct wc_stats *stats = ctx->stats;
    long row;

    if (!cmd) {
        reply_unknown(ctx);
        wc_stat_add(&stats->errors, 1);
        return;
    }
    row = cmd - wc_commands;
    if (refuse(ctx, cmd)) {
        wc_stat_add(&stats->cmd_rejected[row], 1);
        wc_stat_add(&stats->errors, 1);
        return;
    }
    atomic_store_explicit(&ctx->client->last_cmd, (int)row, memory_order_relaxed);
    wc_stat_add(&stats->commands_processed, 1);
    wc_stat_add(&stats->cmd_calls[row], 1);
    if (!cmd->first_key && !(cmd->flags & WC_CMD_FAST))
        run_timed(ctx, cmd, 1);
    else if (atomic_load_explicit(&stats->cmd_calls[row], memory_order_relaxed) % TIME_EVERY == 0)
        run_timed(ctx, cmd, TIME_EVERY);
    else
        cmd->handler(ctx);
    if (ctx->reply->len > start && ctx->reply->buf[start] == '-') {
        wc_stat_add(&stats->cmd_failed[row], 1);
        wc_stat_add(&stats->errors, 1);
    }
}

/* Never runs: a container's subcommand is found, or there is an error. The table wants a handler all the same. */
void wc_cmd_container(struct wc_cmd_ctx *ctx)
{
    wc_reply_bad_subcommand(ctx);
}
