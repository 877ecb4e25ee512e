/* INFO: sections of "field:value" lines, with Redis's names where Redis has the field. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/internal.h"
#include "cmd/totals.h"

struct info {
    struct wc_cmd_ctx *ctx;
    struct wc_server *server;
    struct wc_totals totals;
    struct wc_reply text; /* used as a growing string */
};

static void add(struct info *info, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct info *info, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(line, sizeof(line) - 2, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len > sizeof(line) - 3)
        len = sizeof(line) - 3;
    memcpy(line + len, "\r\n", 2);
    wc_reply_raw(&info->text, line, (size_t)len + 2);
}

static void add_number(struct info *info, const char *name, uint64_t v)
{
    add(info, "%s:%llu", name, (unsigned long long)v);
}

static void add_count(struct info *info, const char *name, const _Atomic uint64_t *v)
{
    add_number(info, name, atomic_load_explicit(v, memory_order_relaxed));
}

/* name:bytes and name_human:1.50M */
static void add_bytes(struct info *info, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    double v = (double)bytes;
    size_t unit = 0;

    for (; v >= 1024 && unit + 2 < sizeof(units); unit++)
        v /= 1024;
    add_number(info, name, bytes);
    add(info, unit ? "%s_human:%.2f%c" : "%s_human:%.0f%c", name, v, units[unit]);
}

static void add_server(struct info *info)
{
    int64_t up_s = (info->ctx->now_ms - info->server->start_ms) / 1000;
    struct utsname name = {0};

    uname(&name);
    add(info, "redis_version:%s", WC_REDIS_VERSION);
    add(info, "wirecache_version:%s", WC_VERSION);
    add(info, "redis_mode:standalone");
    add(info, "os:%s %s %s", name.sysname, name.release, name.machine);
    add(info, "arch_bits:%zu", sizeof(void *) * 8);
    add(info, "gcc_version:%d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    add(info, "process_id:%ld", (long)getpid());
    add(info, "run_id:%s", info->server->run_id);
    add(info, "tcp_port:%d", info->server->config.port);
    add(info, "server_time_usec:%lld", (long long)info->ctx->now_ms * 1000);
    add(info, "uptime_in_seconds:%lld", (long long)up_s);
    add(info, "uptime_in_days:%lld", (long long)up_s / 86400);
    add(info, "hz:10");
    add(info, "workers:%d", info->server->nworkers);
    add(info, "executable:%s", info->server->executable ? info->server->executable : "");
    add(info, "config_file:%s", info->server->config.file);
}

static void add_clients(struct info *info)
{
    add(info, "connected_clients:%lld", (long long)atomic_load(&info->server->connected_clients));
    add(info, "maxclients:%d", WC_CONFIG_NOW(info->server, maxclients));
    add(info, "blocked_clients:0");
}

static uint64_t rss_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* jemalloc, unless a sanitizer or FASTPATH-less build left it out. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len) __attribute__((weak));

static void add_allocator(struct info *info)
{
    static const char *const names[] = {"allocated", "active", "resident"};
    const char *version = NULL;
    size_t size = sizeof(version);
    uint64_t epoch = 1;

    if (!mallctl || mallctl("version", &version, &size, NULL, 0) || !version) {
        add(info, "mem_allocator:libc");
        return;
    }
    add(info, "mem_allocator:jemalloc-%.*s", (int)strcspn(version, "-"), version);
    size = sizeof(epoch);
    mallctl("epoch", &epoch, &size, &epoch, size); /* take a new look at the statistics */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[32];
        size_t value = 0;

        size = sizeof(value);
        snprintf(path, sizeof(path), "stats.%s", names[i]);
        if (mallctl(path, &value, &size, NULL, 0) == 0)
            add(info, "allocator_%s:%zu", names[i], value);
    }
}

static void add_setting(void *arg, const char *name, const char *value)
{
    (void)name;
    add(arg, "maxmemory_policy:%s", value);
}

/* used_memory is what maxmemory is compared with: keys, values and tables. What else the process has (buffers, code) is
 * in used_memory_rss and allocator_allocated. */
static void add_memory(struct info *info)
{
    uint64_t used = wc_store_used_bytes(info->server->store), peak = wc_store_peak_bytes(info->server->store);
    uint64_t rss = rss_bytes();

    add_bytes(info, "used_memory", used);
    add_bytes(info, "used_memory_rss", rss);
    add_bytes(info, "used_memory_peak", peak);
    add(info, "used_memory_peak_perc:%.2f%%", peak ? 100.0 * (double)used / (double)peak : 0.0);
    add_number(info, "used_memory_dataset", used);
    add_bytes(info, "total_system_memory", (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
    add_bytes(info, "maxmemory", WC_CONFIG_NOW(info->server, maxmemory));
    pthread_mutex_lock(&info->server->config_lock);
    wc_config_each(&info->server->config, "maxmemory-policy", add_setting, info);
    pthread_mutex_unlock(&info->server->config_lock);
    add(info, "mem_fragmentation_ratio:%.2f", used ? (double)rss / (double)used : 0.0);
    add_allocator(info);
}

static void add_persistence(struct info *info)
{
    add(info, "loading:0");
}

static void add_stats(struct info *info)
{
    const struct wc_totals *t = &info->totals;

    add_count(info, "total_connections_received", &t->stats.connections_received);
    add_count(info, "total_commands_processed", &t->stats.commands_processed);
    add_number(info, "instantaneous_ops_per_sec", t->commands_per_s);
    add_count(info, "total_net_input_bytes", &t->stats.net_input_bytes);
    add_count(info, "total_net_output_bytes", &t->stats.net_output_bytes);
    add(info, "instantaneous_input_kbps:%.2f", (double)t->in_per_s / 1024);
    add(info, "instantaneous_output_kbps:%.2f", (double)t->out_per_s / 1024);
    add_count(info, "rejected_connections", &t->stats.rejected_connections);
    add_number(info, "expired_keys", t->expired_keys);
    add_number(info, "evicted_keys", t->evicted_keys);
    add_count(info, "keyspace_hits", &t->stats.keyspace_hits);
    add_count(info, "keyspace_misses", &t->stats.keyspace_misses);
    add_count(info, "total_error_replies", &t->stats.errors);
    add_count(info, "total_protocol_errors", &t->stats.protocol_errors);
}

/* Tools look for it; there is no replication. */
static void add_replication(struct info *info)
{
    add(info, "role:master");
    add(info, "connected_slaves:0");
}

static void add_cpu(struct info *info)
{
    struct rusage self;

    getrusage(RUSAGE_SELF, &self);
    add(info, "used_cpu_sys:%ld.%06ld", (long)self.ru_stime.tv_sec, (long)self.ru_stime.tv_usec);
    add(info, "used_cpu_user:%ld.%06ld", (long)self.ru_utime.tv_sec, (long)self.ru_utime.tv_usec);
}

static void add_commandstats(struct info *info)
{
    const struct wc_stats *s = &info->totals.stats;

    for (int i = 0; i < wc_command_count; i++) {
        unsigned long long calls = s->cmd_calls[i], usec = s->cmd_usec[i];
        unsigned long long rejected = s->cmd_rejected[i], failed = s->cmd_failed[i];

        if (calls || rejected || failed)
            add(info, "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu",
                wc_commands[i].name, calls, usec, calls ? (double)usec / (double)calls : 0.0, rejected, failed);
    }
}

static void add_cluster(struct info *info)
{
    add(info, "cluster_enabled:0");
}

static void add_keyspace(struct info *info)
{
    for (int db = 0; db < info->server->config.databases; db++) {
        struct wc_store_stats s;

        wc_store_stats(info->server->store, db, &s);
        if (s.keys)
            add(info, "db%d:keys=%llu,expires=%llu,avg_ttl=%lld", db, (unsigned long long)s.keys,
                (unsigned long long)s.expires, (long long)s.avg_ttl_ms);
    }
}

static void add_field(void *arg, const char *name, const char *value)
{
    add(arg, "%s:%s", name, value);
}

static void add_fastpath(struct info *info)
{
    wc_fastpath_info(info->server->fastpath, add_field, info);
}

static const struct section {
    const char *name;
    void (*add)(struct info *info);
    bool on_request; /* not in plain INFO */
} sections[] = {
    {"Server", add_server, false},     {"Clients", add_clients, false},
    {"Memory", add_memory, false},     {"Persistence", add_persistence, false},
    {"Stats", add_stats, false},       {"Replication", add_replication, false},
    {"CPU", add_cpu, false},           {"Commandstats", add_commandstats, true},
    {"Cluster", add_cluster, false},   {"Keyspace", add_keyspace, false},
    {"Fastpath", add_fastpath, false},
};

#define NSECTIONS (sizeof(sections) / sizeof(sections[0]))

static bool names_section(const struct wc_arg *arg, const char *name)
{
    return arg->len == strlen(name) && strncasecmp(arg->ptr, name, arg->len) == 0;
}

static bool is_wanted(const struct wc_cmd_ctx *ctx, const struct section *section)
{
    if (ctx->argc == 1)
        return !section->on_request;
    for (uint32_t i = 1; i < ctx->argc; i++) {
        const struct wc_arg *arg = &ctx->argv[i];

        if (names_section(arg, section->name) || wc_arg_is(arg, "all") || wc_arg_is(arg, "everything") ||
            (wc_arg_is(arg, "default") && !section->on_request))
            return true;
    }
    return false;
}

void wc_cmd_info(struct wc_cmd_ctx *ctx)
{
    struct info info = {.ctx = ctx, .server = ctx->server};

    wc_totals_get(ctx->server, ctx->now_ms, &info.totals);
    for (size_t i = 0; i < NSECTIONS; i++) {
        if (!is_wanted(ctx, &sections[i]))
            continue;
        if (info.text.len)
            wc_reply_raw(&info.text, "\r\n", 2);
        add(&info, "# %s", sections[i].name);
        sections[i].add(&info);
    }
    wc_reply_verbatim(ctx->reply, "txt", info.text.buf, info.text.len);
    ctx->reply->failed |= info.text.failed;
    free(info.text.buf);
}
