/* Summing up the workers' statistics. A reset does not touch them (their owners write them without locks): it
 * remembers the sums, which are subtracted from then on. */
#include "cmd/totals.h"

#include "cmd/internal.h"

#define RATE_MIN_MS 100

/* The sums since start, as words of struct wc_stats. */
static void sum_workers(struct wc_server *server, uint64_t sum[WC_STAT_WORDS])
{
    memset(sum, 0, WC_STAT_WORDS * sizeof(sum[0]));
    for (int i = 0; i < server->nworkers; i++) {
        const _Atomic uint64_t *word = (const _Atomic uint64_t *)wc_server_stats(server, i);

        for (size_t w = 0; w < WC_STAT_WORDS; w++)
            sum[w] += atomic_load_explicit(&word[w], memory_order_relaxed);
    }
}

static void add_kernel_share(struct wc_totals *t)
{
    uint64_t gets = t->kernel.hits + t->kernel.misses;

    wc_stat_add(&t->stats.keyspace_hits, t->kernel.hits);
    wc_stat_add(&t->stats.keyspace_misses, t->kernel.misses);
    wc_stat_add(&t->stats.commands_processed, gets);
    wc_stat_add(&t->stats.cmd_calls[WC_CMD_ID_get], gets);
    wc_stat_add(&t->stats.net_input_bytes, t->kernel.in_bytes);
    wc_stat_add(&t->stats.net_output_bytes, t->kernel.out_bytes);
}

static uint64_t per_second(uint64_t now, uint64_t before, int64_t ms)
{
    return now > before ? (now - before) * 1000 / (uint64_t)ms : 0;
}

/* Rates are taken between calls of INFO, so nothing has to run in between. */
static void take_rates(struct wc_server *server, int64_t now_ms, struct wc_totals *t)
{
    struct wc_info_state *info = &server->info;
    int64_t ms = now_ms - (info->sample_ms ? info->sample_ms : server->start_ms);

    if (ms >= RATE_MIN_MS) {
        info->commands_per_s = per_second(t->stats.commands_processed, info->sample_commands, ms);
        info->in_per_s = per_second(t->stats.net_input_bytes, info->sample_in, ms);
        info->out_per_s = per_second(t->stats.net_output_bytes, info->sample_out, ms);
        info->sample_ms = now_ms;
        info->sample_commands = t->stats.commands_processed;
        info->sample_in = t->stats.net_input_bytes;
        info->sample_out = t->stats.net_output_bytes;
    }
    t->commands_per_s = info->commands_per_s;
    t->in_per_s = info->in_per_s;
    t->out_per_s = info->out_per_s;
}

void wc_totals_get(struct wc_server *server, int64_t now_ms, struct wc_totals *out)
{
    const struct wc_info_state *info = &server->info;
    uint64_t *word = (uint64_t *)&out->stats;

    sum_workers(server, word);
    wc_fastpath_totals(server->fastpath, &out->kernel);
    out->expired_keys = wc_store_expired_total(server->store);
    out->evicted_keys = wc_store_evicted_total(server->store);

    pthread_mutex_lock(&server->config_lock);
    for (size_t w = 0; w < WC_STAT_WORDS; w++)
        word[w] -= info->base[w];
    out->kernel.hits -= info->base_hits;
    out->kernel.misses -= info->base_misses;
    out->kernel.in_bytes -= info->base_in;
    out->kernel.out_bytes -= info->base_out;
    out->expired_keys -= info->base_expired;
    out->evicted_keys -= info->base_evicted;
    add_kernel_share(out);
    take_rates(server, now_ms, out);
    pthread_mutex_unlock(&server->config_lock);
}

void wc_totals_reset(struct wc_server *server)
{
    struct wc_info_state *info = &server->info;
    struct wc_fastpath_totals kernel = {0};

    wc_fastpath_totals(server->fastpath, &kernel);
    pthread_mutex_lock(&server->config_lock);
    sum_workers(server, info->base);
    info->base_hits = kernel.hits;
    info->base_misses = kernel.misses;
    info->base_in = kernel.in_bytes;
    info->base_out = kernel.out_bytes;
    info->base_expired = wc_store_expired_total(server->store);
    info->base_evicted = wc_store_evicted_total(server->store);
    info->sample_ms = wc_store_now_ms();
    info->sample_commands = info->sample_in = info->sample_out = 0;
    info->commands_per_s = info->in_per_s = info->out_per_s = 0;
    pthread_mutex_unlock(&server->config_lock);
}

void wc_cmd_config_resetstat(struct wc_cmd_ctx *ctx)
{
    wc_totals_reset(ctx->server);
    wc_reply_ok(ctx->reply);
}
