/* Where directives come from: a file, the files it includes, standard input, the command line; in this order, and
 * the last one counts. Stops at the first error, with one line that says where. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_internal.h"
#include "words.h"

#define INCLUDE_DEPTH_MAX 16

struct reader {
    struct wc_config *cfg;
    char *err;
    size_t errlen;
    int depth; /* of includes */
};

static int load_file(struct reader *r, const char *path);

/* Set the error line. What came from a file must not break the line. */
static __attribute__((format(printf, 2, 3))) int fail(struct reader *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(r->err, r->errlen, fmt, args);
    va_end(args);
    for (char *p = r->err; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
    return -EINVAL;
}

static const char *split_error(int rc)
{
    switch (rc) {
    case -EINVAL:
        return "unbalanced quotes";
    case -E2BIG:
        return "too many words";
    case -EILSEQ:
        return "a value cannot hold a zero byte";
    default:
        return strerror(-rc);
    }
}

/* One line of a file. `where` is its name as error messages give it. */
static int load_line(struct reader *r, const char *where, int number, const char *line)
{
    struct wc_words words;
    char reason[512];
    int rc;

    while (isspace((unsigned char)*line))
        line++;
    if (*line == 0 || *line == '#')
        return 0;
    rc = wc_words_split(&words, line);
    if (rc)
        return fail(r, "%s:%d: %s", where, number, split_error(rc));
    if (strcasecmp(words.word[0], "include") == 0) {
        if (words.n != 2)
            rc = fail(r, "%s:%d: include: takes one file name", where, number);
        else if (r->depth == INCLUDE_DEPTH_MAX)
            rc = fail(r, "%s:%d: include: more than %d files deep", where, number, INCLUDE_DEPTH_MAX);
        else
            rc = load_file(r, words.word[1]);
    } else {
        rc = wc_config_apply(r->cfg, words.n, words.word, reason, sizeof(reason));
        if (rc)
            rc = fail(r, "%s:%d: %s", where, number, reason);
    }
    wc_words_free(&words);
    return rc;
}

static int load_stream(struct reader *r, const char *where, FILE *in)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int number = 0, rc = 0;

    errno = 0;
    while (rc == 0 && (len = getline(&line, &cap, in)) >= 0) {
        number++;
        if (strlen(line) != (size_t)len)
            rc = fail(r, "%s:%d: a zero byte", where, number);
        else
            rc = load_line(r, where, number, line);
    }
    if (rc == 0 && ferror(in))
        rc = fail(r, "%s: %s", where, strerror(errno));
    free(line);
    return rc;
}

static int load_file(struct reader *r, const char *path)
{
    FILE *in = fopen(path, "re");
    int rc;

    if (!in)
        return fail(r, "%s: %s", path, strerror(errno));
    r->depth++;
    rc = load_stream(r, path, in);
    r->depth--;
    fclose(in);
    return rc;
}

static int load_stdin(struct reader *r)
{
    return load_stream(r, "stdin", stdin);
}

static int apply_option(struct reader *r, int n, char *const *words)
{
    char reason[512];

    if (wc_config_apply(r->cfg, n, words, reason, sizeof(reason)))
        return fail(r, "command line: %s", reason);
    return 0;
}

static int count_values(int argc, char **argv, int i)
{
    int n = 0;

    /* The first value may itself begin with --, as a password might. */
    while (i + n < argc && n + 1 < WC_WORDS_MAX && (n == 0 || strncmp(argv[i + n], "--", 2) != 0))
        n++;
    return n;
}

/* `--name value ...` at argv[*i]; also "--name value" in one argument. *i is left behind it. */
static int load_option(struct reader *r, int argc, char **argv, int *i)
{
    char *arg = argv[*i];
    char *words[WC_WORDS_MAX];
    struct wc_words split;
    int rc, n;

    if (strncmp(arg, "--", 2) != 0)
        return fail(r, "command line: unexpected argument '%.64s'", arg);
    rc = wc_words_split(&split, arg + 2);
    if (rc)
        return fail(r, "command line: %s", split_error(rc));
    *i += 1;
    if (split.n == 0) {
        rc = fail(r, "command line: unexpected argument '%.64s'", arg);
    } else if (split.n > 1) {
        rc = apply_option(r, split.n, split.word);
    } else {
        n = count_values(argc, argv, *i);
        words[0] = split.word[0];
        memcpy(words + 1, argv + *i, (size_t)n * sizeof(words[0]));
        *i += n;
        rc = apply_option(r, n + 1, words);
    }
    wc_words_free(&split);
    return rc;
}

static int load_named_file(struct reader *r, const char *path)
{
    char absolute[PATH_MAX];
    int rc = load_file(r, path);

    if (rc)
        return rc;
    if (!realpath(path, absolute))
        return fail(r, "%s: %s", path, strerror(errno));
    if (strlen(absolute) >= sizeof(r->cfg->file))
        return fail(r, "%s: %s", path, strerror(ENAMETOOLONG));
    memcpy(r->cfg->file, absolute, strlen(absolute) + 1);
    return 0;
}

int wc_config_load(struct wc_config *cfg, int argc, char **argv, char *err, size_t errlen)
{
    struct reader r = {.cfg = cfg, .err = err, .errlen = errlen};
    int i = 1, end = argc, rc = 0;

    wc_config_defaults(cfg);
    if (argc < 2)
        return 0;
    if (argv[1][0] != '-')
        rc = load_named_file(&r, argv[i++]);
    /* Standard input is read before the options, wherever its - stands: first, or last. */
    if (rc == 0 && i < end && strcmp(argv[i], "-") == 0) {
        i++;
        rc = load_stdin(&r);
    } else if (rc == 0 && i < end && strcmp(argv[end - 1], "-") == 0) {
        end--;
        rc = load_stdin(&r);
    }
    while (rc == 0 && i < end)
        rc = load_option(&r, end, argv, &i);
    return rc;
}
