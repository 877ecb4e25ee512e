#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "glob.h"

struct row {
    const char *pattern, *str;
    bool nocase, expect;
};

static const struct row rows[] = {
    {"", "", false, true},
    {"", "a", false, false},
    {"*", "", false, true},
    {"*", "anything", false, true},
    {"***", "", false, true},
    {"a", "a", false, true},
    {"a", "A", false, false},
    {"a", "A", true, true},
    {"a", "ab", false, false},
    {"ab", "a", false, false},
    {"h?llo", "hello", false, true},
    {"h?llo", "hllo", false, false},
    {"h*llo", "heeeello", false, true},
    {"h*llo", "hllo", false, true},
    {"h*l*o*", "hello", false, true},
    {"*a*b*c", "xxaxxbxxcxxc", false, true},
    {"*a*b*c", "xxaxxbxxcxx", false, false},
    {"*ab", "aab", false, true},
    {"h[ae]llo", "hello", false, true},
    {"h[ae]llo", "hillo", false, false},
    {"h[^e]llo", "hallo", false, true},
    {"h[^e]llo", "hello", false, false},
    {"h[a-c]llo", "hbllo", false, true},
    {"h[c-a]llo", "hbllo", false, true},
    {"h[a-c]llo", "hdllo", false, false},
    {"h[A-C]llo", "hbllo", true, true},
    {"[a-]", "-", false, false}, /* as in Redis: a range up to "]" */
    {"[a-]", "_", false, true},
    {"[]", "]", false, false},
    {"[\\]]", "]", false, true},
    {"[^]", "a", false, true},
    {"[abc", "b", false, true}, /* never closed: ends with the pattern */
    {"[abc", "d", false, false},
    {"[", "[", false, false},
    {"[a-", "-", false, true},
    {"\\*", "*", false, true},
    {"\\*", "a", false, false},
    {"a\\", "a\\", false, true},
    {"\\a", "A", true, true},
    {"fastpath*", "FASTPATH-hot-keys", true, true},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];

        if (wc_glob_match(r->pattern, strlen(r->pattern), r->str, strlen(r->str), r->nocase) != r->expect)
            fail_msg("'%s' on '%s', nocase %d: not %d", r->pattern, r->str, r->nocase, r->expect);
    }
}

static void test_lengths_rule_not_zero_bytes(void **state)
{
    (void)state;
    assert_true(wc_glob_match("a?c", 3, "a\0c", 3, false));
    assert_false(wc_glob_match("a\0c", 3, "a\0d", 3, false));
    assert_true(wc_glob_match("abX", 2, "abY", 2, false));
}

/* With recursion on every '*' this pattern takes ages. */
static void test_many_stars_are_quick(void **state)
{
    char str[20000], pattern[401];
    struct timespec a, b;

    (void)state;
    memset(str, 'a', sizeof(str));
    for (int i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[400] = 'b';
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_false(wc_glob_match(pattern, sizeof(pattern), str, sizeof(str), false));
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_lengths_rule_not_zero_bytes),
        cmocka_unit_test(test_many_stars_are_quick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
