/* The keyed hash of keys: folded 64x64->128 multiplications, as in wyhash and rapidhash.
 *
 * Against flooding, every constant is random per process, not only the seed: with the published constants an
 * attacker can choose blocks that make one factor zero, whatever the seed is, and all such keys collide. With
 * secret constants that is guessing a 64-bit number. Hash values never leave the process.
 */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Filled once, before main(), and constant from then on. */
static uint64_t secret[5];

__attribute__((constructor)) static void draw_secrets(void)
{
    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
        /* No such system call (seccomp): addresses and time are better than nothing. */
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
            secret[i] ^= ((uint64_t)ts.tv_nsec << 32 ^ (uintptr_t)&ts ^ (uintptr_t)secret) * (2 * i + 1) *
                         UINT64_C(0x9e3779b97f4a7c15);
    }
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t read32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Up to 16 bytes as two words that overlap in the middle. */
static inline void read_short(const char *p, uint32_t len, uint64_t *a, uint64_t *b)
{
    if (len >= 8) {
        *a = read64(p);
        *b = read64(p + len - 8);
    } else if (len >= 4) {
        *a = read32(p);
        *b = read32(p + len - 4);
    } else {
        *a = len ? (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[len / 2] << 8 | (uint8_t)p[len - 1] : 0;
        *b = 0;
    }
}

uint64_t wc_store_hash(const char *key, uint32_t len)
{
    uint64_t a, b, seed = secret[0] ^ len;
    uint32_t left = len;

    if (len <= 16) {
        read_short(key, len, &a, &b);
    } else {
        if (left > 48) {
            uint64_t lane1 = seed, lane2 = seed;

            for (; left > 48; left -= 48, key += 48) {
                seed = fold(read64(key) ^ secret[1], read64(key + 8) ^ seed);
                lane1 = fold(read64(key + 16) ^ secret[2], read64(key + 24) ^ lane1);
                lane2 = fold(read64(key + 32) ^ secret[3], read64(key + 40) ^ lane2);
            }
            seed ^= lane1 ^ lane2;
        }
        for (; left > 16; left -= 16, key += 16)
            seed = fold(read64(key) ^ secret[1], read64(key + 8) ^ seed);
        a = read64(key + left - 16);
        b = read64(key + left - 8);
    }
    return fold(fold(a ^ secret[1], b ^ seed) ^ secret[4], secret[2] ^ len);
}
