#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "words.h"

#define MAX 4

static const struct {
    const char *line;
    int rc; /* or the number of words */
    const char *words[MAX];
} rows[] = {
    {"", 0, {NULL}},
    {" \t\r\n", 0, {NULL}},
    {"port 6379\n", 2, {"port", "6379"}},
    {"  a   b\tc ", 3, {"a", "b", "c"}},
    {"a \"\" ''", 3, {"a", "", ""}},
    {"a \"b c\"", 2, {"a", "b c"}},
    {"a \"\\x41\\n\\t\\r\\b\\a\\\"\\\\\\q\"", 2, {"a", "A\n\t\r\b\a\"\\q"}},
    {"a \"\\xZZ\"", 2, {"a", "xZZ"}},
    {"a 'b \\' \\n \"'", 2, {"a", "b ' \\n \""}},
    {"a\"b\" c", 2, {"ab", "c"}},
    {"a b\\n", 2, {"a", "b\\n"}},
    {"a \"b", -EINVAL, {NULL}},
    {"a \"b\\", -EINVAL, {NULL}},
    {"a 'b", -EINVAL, {NULL}},
    {"a \"b\"c", -EINVAL, {NULL}},
    {"a 'b'c", -EINVAL, {NULL}},
    {"a \"\\x00\"", -EILSEQ, {NULL}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wc_words w;
        int rc = wc_words_split(&w, rows[i].line);

        if (rc < 0) {
            assert_int_equal(rc, rows[i].rc);
            continue;
        }
        assert_int_equal(w.n, rows[i].rc);
        for (int j = 0; j < w.n; j++)
            assert_string_equal(w.word[j], rows[i].words[j]);
        wc_words_free(&w);
    }
}

static void test_too_many(void **state)
{
    char line[2 * WC_WORDS_MAX + 3];
    struct wc_words w;

    (void)state;
    for (int i = 0; i < WC_WORDS_MAX; i++)
        memcpy(line + 2 * i, "a ", 2);
    line[2 * WC_WORDS_MAX] = 0;
    assert_int_equal(wc_words_split(&w, line), 0);
    assert_int_equal(w.n, WC_WORDS_MAX);
    wc_words_free(&w);
    strcat(line, "a");
    assert_int_equal(wc_words_split(&w, line), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
