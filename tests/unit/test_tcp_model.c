/* Random schedules of client, network, fast path and server (tests/lib/tcp_model.h).
 *
 *   WC_MODEL_SECONDS=n   run so long instead of a fixed number
 *   WC_MODEL_SEED=n      run this one only, and tell how it goes
 *   WC_MODEL_SHRINK=0    do not look for a smaller schedule that fails
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp_model.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { SCHEDULES = 200000, SECONDS_MAX = 5 };

static void explain(uint64_t seed)
{
    const char *shrink = getenv("WC_MODEL_SHRINK"), *failure;
    struct model_cfg cfg;

    model_generate(&cfg, seed);
    fprintf(stderr, "WC_MODEL_SEED=%" PRIu64 ": %s\n", seed, model_run(&cfg, NULL, NULL));
    model_print(&cfg, stderr);
    if (shrink && !atoi(shrink))
        return;
    failure = model_shrink(&cfg);
    fprintf(stderr, "smaller: %s\n", failure);
    model_print(&cfg, stderr);
    model_run(&cfg, NULL, stderr);
}

static void print_stats(const struct model_stats *s)
{
    printf("%" PRIu64 " schedules, %" PRIu64 " s virtual: %" PRIu64 " hot requests, %" PRIu64 " answered (%" PRIu64
           " fed), %" PRIu64 " replayed, %" PRIu64 " passed, %" PRIu64 " dropped, %" PRIu64 " spanning, %" PRIu64
           " lost, %" PRIu64 " duplicated\n",
           s->runs, s->virtual_us / 1000000, s->hot, s->answered, s->fed, s->replayed, s->passed, s->dropped,
           s->spanning, s->lost, s->duplicated);
}

static void test_random_schedules(void **state)
{
    const char *seconds = getenv("WC_MODEL_SECONDS"), *seed_text = getenv("WC_MODEL_SEED");
    time_t end = time(NULL) + (seconds ? atoi(seconds) : SECONDS_MAX);
    uint64_t seed = seconds ? (uint64_t)time(NULL) << 32 : 1;
    struct model_stats stats = {0};
    struct model_cfg cfg;

    (void)state;
    if (seed_text) {
        seed = strtoull(seed_text, NULL, 10);
        model_generate(&cfg, seed);
        if (!model_run(&cfg, &stats, stderr))
            return;
        explain(seed);
        fail();
    }
    for (uint64_t i = 0; seconds || i < SCHEDULES; i++, seed++) {
        model_generate(&cfg, seed);
        if (model_run(&cfg, &stats, NULL)) {
            explain(seed);
            fail_msg("schedule %" PRIu64 " failed", seed);
        }
        if (i % 256 == 0 && time(NULL) >= end)
            break;
    }
    print_stats(&stats);
    /* every part of the machine has been used */
    assert_true(stats.answered * 5 > stats.hot);
    assert_true(stats.fed && stats.replayed && stats.dropped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
