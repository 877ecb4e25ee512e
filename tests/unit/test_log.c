#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

static char path[] = "/tmp/wirecache-test-log-XXXXXX";
static char text[8192];

static const char *logged(void)
{
    FILE *f = fopen(path, "r");
    size_t n = fread(text, 1, sizeof(text) - 1, f);

    text[n] = 0;
    fclose(f);
    return text;
}

static void test_format(void **state)
{
    char pattern[128];
    regex_t re;

    (void)state;
    wc_log(WC_LOG_WARNING, "hello %d", 7);
    snprintf(pattern, sizeof(pattern), "^%d:M [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8}\\.[0-9]{3} # hello 7\n$",
             (int)getpid());
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    assert_int_equal(regexec(&re, logged(), 0, NULL, 0), 0);
    regfree(&re);
}

static void test_levels(void **state)
{
    (void)state;
    wc_log(WC_LOG_VERBOSE, "too quiet");
    wc_log_set_level(WC_LOG_DEBUG);
    wc_log(WC_LOG_DEBUG, "one");
    wc_log(WC_LOG_VERBOSE, "two");
    wc_log(WC_LOG_NOTICE, "three");
    wc_log_set_level(WC_LOG_NOTHING);
    wc_log(WC_LOG_WARNING, "silenced");
    wc_log_set_level(WC_LOG_NOTICE);
    logged();
    assert_null(strstr(text, "too quiet"));
    assert_null(strstr(text, "silenced"));
    assert_non_null(strstr(text, " . one\n"));
    assert_non_null(strstr(text, " - two\n"));
    assert_non_null(strstr(text, " * three\n"));
}

static void test_one_line_of_bounded_length(void **state)
{
    char longer[3000];
    const char *line;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    wc_log(WC_LOG_NOTICE, "forged\n1:M line\r %s", longer);
    line = strstr(logged(), "forged");
    assert_non_null(line);
    assert_memory_equal(line, "forged 1:M line  xxx", 20);
    assert_in_range(strlen(line), 1000, 1024);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_unwritable(void **state)
{
    (void)state;
    assert_int_equal(wc_log_open("/nonexistent/log", WC_LOG_NOTICE), -ENOENT);
}

static int setup(void **state)
{
    (void)state;
    close(mkstemp(path));
    return wc_log_open(path, WC_LOG_NOTICE);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_one_line_of_bounded_length),
        cmocka_unit_test(test_unwritable),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
