/* wc_match_get() against the RESP parser: what the kernel takes for a GET, userspace would have executed as the same
 * GET; and every GET in the usual form is recognised. By table, by exhausting each byte, and by random mutation
 * (WC_FUZZ_SEED, WC_FUZZ_ROUNDS).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "resp/parse.h"
#include "wc_match.h"

struct text {
    uint32_t len;
    uint8_t bytes[WC_REQUEST_BUF + 8] __attribute__((aligned(8)));
};

/* The usual spelling; name is 3 bytes. */
static void put_get(struct text *t, const char *name, const char *key, uint32_t key_len)
{
    int n = snprintf((char *)t->bytes, sizeof(t->bytes), "*2\r\n$3\r\n%.3s\r\n$%u\r\n", name, key_len);

    memcpy(t->bytes + n, key, key_len);
    memcpy(t->bytes + n + key_len, "\r\n", 2);
    t->len = n + key_len + 2;
}

static bool is_get(const struct wc_arg *a)
{
    return a->len == 3 && strncasecmp(a->ptr, "GET", 3) == 0;
}

/* Compare the two on one request. Returns whether it was matched. */
static bool check(const struct text *t)
{
    static const struct wc_parser_limits limits = {512 << 20, INT32_MAX, 64 << 10, 16384};
    struct wc_parser p;
    struct text usual;
    uint32_t key_at = 0, n = wc_match_get(t->bytes, t->len, &key_at);
    ssize_t took;

    wc_parser_init(&p);
    took = wc_resp_parse(&p, &limits, 1, (const char *)t->bytes, t->len);
    if (n) {
        assert_in_range(n, 1, WC_KEY_MAX);
        assert_int_equal(took, t->len);
        assert_int_equal(p.argc, 2);
        assert_true(is_get(&p.argv[0]));
        assert_int_equal(p.argv[1].len, n);
        assert_ptr_equal(p.argv[1].ptr, t->bytes + key_at);
    } else if (took == (ssize_t)t->len && p.argc == 2 && is_get(&p.argv[0]) && p.argv[1].len - 1 < WC_KEY_MAX) {
        put_get(&usual, p.argv[0].ptr, p.argv[1].ptr, p.argv[1].len);
        assert_true(usual.len != t->len || memcmp(usual.bytes, t->bytes, t->len) != 0);
    }
    wc_parser_free(&p);
    return n != 0;
}

static const struct {
    const char *text;
    bool matched;
} rows[] = {
    {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", true},
    {"*2\r\n$3\r\nget\r\n$1\r\nk\r\n", true},
    {"*2\r\n$3\r\nGeT\r\n$2\r\n\r\n\r\n", true},
    {"*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n", true},
    {"", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\nk", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\nk\r", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\r", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\n", false},
    {"*2\r\n$3\r\nGET\r\n$01\r\nk\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$001\r\nk\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$-1\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\nkk\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$2\r\nk\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$1\r\rk\r\n", false},
    {"*2\r\r$3\r\nGET\r\n$1\r\nk\r\n", false},
    {"*2\r\n$3\r\nGET\r\r$1\r\nk\r\n", false},
    {"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n", false},
    {"*2\r\n$3\r\n\x07\x05\x14\r\n$1\r\nk\r\n", false},
    {"*2\r\n$4\r\nGETS\r\n$1\r\nk\r\n", false},
    {"*3\r\n$3\r\nGET\r\n$1\r\nk\r\n", false},
    {"GET k                    \r\n", false},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text t = {.len = strlen(rows[i].text)};

        memcpy(t.bytes, rows[i].text, t.len);
        if (check(&t) != rows[i].matched)
            fail_msg("row %zu: %s", i, rows[i].text);
    }
}

/* Key lengths around the limits, in all eight cases of the name. */
static void test_lengths(void **state)
{
    char key[WC_KEY_MAX + 4];
    struct text t;

    (void)state;
    memset(key, 'k', sizeof(key));
    for (uint32_t n = 0; n < sizeof(key); n++)
        for (int bits = 0; bits < 8; bits++) {
            char name[4] = {bits & 1 ? 'g' : 'G', bits & 2 ? 'e' : 'E', bits & 4 ? 't' : 'T', 0};

            put_get(&t, name, key, n);
            assert_int_equal(check(&t), n >= 1 && n <= WC_KEY_MAX);
        }
}

/* Every value in every byte, for keys whose length has one, two and three digits. */
static void test_each_byte(void **state)
{
    static const uint32_t lens[] = {1, 9, 10, 99, 100, 124};
    char key[WC_KEY_MAX];
    struct text t;

    (void)state;
    memset(key, '1', sizeof(key));
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        put_get(&t, "GET", key, lens[i]);
        for (uint32_t at = 0; at < t.len; at++) {
            uint8_t was = t.bytes[at];

            for (int v = 0; v < 256; v++) {
                t.bytes[at] = v;
                check(&t);
            }
            t.bytes[at] = was;
        }
    }
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 16) % n;
}

static void mutate(struct text *t)
{
    static const char likely[] = "0123456789\r\n\r\n$*GETgetk -+";
    uint32_t at = random_below(t->len + 1);
    uint8_t byte = random_below(4) ? (uint8_t)likely[random_below(sizeof(likely) - 1)] : random_below(256);

    switch (random_below(5)) {
    case 0: /* insert */
        if (t->len < WC_REQUEST_BUF) {
            memmove(t->bytes + at + 1, t->bytes + at, t->len - at);
            t->bytes[at] = byte;
            t->len++;
        }
        break;
    case 1: /* remove */
        if (at < t->len) {
            memmove(t->bytes + at, t->bytes + at + 1, t->len - at - 1);
            t->len--;
        }
        break;
    case 2: /* cut */
        if (random_below(8) == 0)
            t->len = at;
        break;
    default:
        if (at < t->len)
            t->bytes[at] = byte;
    }
}

static void test_random(void **state)
{
    const char *seed = getenv("WC_FUZZ_SEED"), *rounds = getenv("WC_FUZZ_ROUNDS");
    uint64_t n = rounds ? strtoull(rounds, NULL, 0) : 3000000, matched = 0;
    char key[WC_KEY_MAX + 6];
    struct text t;

    (void)state;
    random_state = seed ? strtoull(seed, NULL, 0) : 0x6d61746368;
    print_message("    seed 0x%llx, %llu requests\n", (unsigned long long)random_state, (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t len = random_below(3) ? random_below(12) : random_below(sizeof(key));

        for (uint32_t k = 0; k < len; k++)
            key[k] = random_below(2) ? '0' + random_below(10) : random_below(256);
        put_get(&t, random_below(2) ? "GET" : "gEt", key, len);
        for (uint32_t m = random_below(4); m > 0; m--)
            mutate(&t);
        matched += check(&t);
    }
    print_message("    %llu of them matched\n", (unsigned long long)matched);
    assert_in_range(matched, n / 10, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_each_byte),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
