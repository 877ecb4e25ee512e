/* As sdssplitargs() of Redis, into one allocation: the words are never longer than the line. */
#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of a double-quoted word; *p is at the backslash and is left behind the escape. */
static int unescape(const char **p, char *out)
{
    const char *s = *p + 1;

    if (s[0] == 'x' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
        *out = (char)(hex(s[1]) * 16 + hex(s[2]));
        *p = s + 3;
        return *out ? 0 : -EILSEQ;
    }
    switch (s[0]) {
    case 0:
        return -EINVAL;
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = s[0];
        break;
    }
    *p = s + 1;
    return 0;
}

/* The rest of a quoted word, *p behind the opening quote; left behind the closing one. */
static int quoted(const char **p, char **out, char quote)
{
    while (**p != quote) {
        if (**p == 0)
            return -EINVAL;
        if (quote == '"' && **p == '\\') {
            int rc = unescape(p, (*out)++);

            if (rc)
                return rc;
            continue;
        }
        if (quote == '\'' && (*p)[0] == '\\' && (*p)[1] == '\'')
            (*p)++;
        *(*out)++ = *(*p)++;
    }
    (*p)++;
    return **p == 0 || isspace((unsigned char)**p) ? 0 : -EINVAL;
}

/* One word; a quote may open in its middle, as in Redis, and then ends it. */
static int one_word(const char **p, char **out)
{
    while (**p && !isspace((unsigned char)**p)) {
        if (**p == '"' || **p == '\'') {
            char quote = *(*p)++;

            return quoted(p, out, quote);
        }
        *(*out)++ = *(*p)++;
    }
    return 0;
}

int wc_words_split(struct wc_words *w, const char *line)
{
    const char *p = line;
    char *out;

    w->n = 0;
    w->storage = out = malloc(2 * strlen(line) + 1); /* 2: a zero behind each one-letter word */
    if (!out)
        return -ENOMEM;
    for (;;) {
        int rc;

        while (isspace((unsigned char)*p))
            p++;
        if (!*p)
            return 0;
        if (w->n == WC_WORDS_MAX) {
            wc_words_free(w);
            return -E2BIG;
        }
        w->word[w->n] = out;
        rc = one_word(&p, &out);
        if (rc) {
            wc_words_free(w);
            return rc;
        }
        w->n++;
        *out++ = 0;
    }
}

void wc_words_free(struct wc_words *w)
{
    free(w->storage);
    w->storage = NULL;
    w->n = 0;
}
