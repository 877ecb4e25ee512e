/* Random numbers from a seed (splitmix64), and the clock. */
#ifndef TCP_RNG_H
#define TCP_RNG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MSEC 1000000ull
#define SEC  1000000000ull

static inline uint64_t rng_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static inline uint64_t rng_next(uint64_t *state)
{
    return rng_mix(*state += 0x9e3779b97f4a7c15ull);
}

/* 0 .. n-1 */
static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
    return rng_next(state) % n;
}

static inline bool rng_percent(uint64_t *state, double percent)
{
    return percent > 0 && (double)(rng_next(state) >> 11) * 0x1p-53 * 100 < percent;
}

static inline uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SEC + (uint64_t)t.tv_nsec;
}

#endif
