#include "resp/inline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* isspace() of the C locale, whatever the process's locale is. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends an unquoted argument. Not the same set: sdssplitargs takes \v and \f for blanks between
 * arguments, yet for ordinary bytes inside one. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* After a backslash at s, with at least one byte behind it: the byte meant. Returns how many bytes of s it took. */
static size_t unescape(const char *s, const char *end, char *out)
{
    if (s[1] == 'x' && end - s >= 4 && hex(s[2]) >= 0 && hex(s[3]) >= 0) {
        *out = (char)(hex(s[2]) * 16 + hex(s[3]));
        return 4;
    }
    switch (s[1]) {
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
        *out = s[1];
    }
    return 2;
}

/* The inside of a quoted part, s behind the opening quote. Returns the place behind the closing quote, which must be
 * followed by a blank or the end; NULL otherwise. */
static const char *quoted(const char *s, const char *end, char quote, char **out)
{
    while (s < end && *s != quote) {
        if (*s == '\\' && end - s >= 2 && quote == '"')
            s += unescape(s, end, (*out)++);
        else if (*s == '\\' && end - s >= 2 && s[1] == '\'') {
            *(*out)++ = '\'';
            s += 2;
        } else
            *(*out)++ = *s++;
    }
    if (s == end || (s + 1 < end && !is_space(s[1])))
        return NULL;
    return s + 1;
}

static int split_plain(struct wc_parser *p, const char *s, const char *end)
{
    for (;;) {
        while (s < end && is_space(*s))
            s++;
        if (s == end)
            return 0;
        const char *word = s;
        while (s < end && !ends_word(*s))
            s++;
        if (wc_parser_push(p, word, (size_t)(s - word)))
            return -ENOMEM;
    }
}

static int split_quoted(struct wc_parser *p, const char *s, const char *end, char *out)
{
    for (;;) {
        while (s < end && is_space(*s))
            s++;
        if (s == end)
            return 0;
        const char *word = out;
        bool closed = false;
        while (!closed && s < end && !ends_word(*s)) {
            if (*s == '"' || *s == '\'') {
                s = quoted(s + 1, end, *s, &out);
                if (!s)
                    return -EINVAL;
                closed = true;
            } else
                *out++ = *s++;
        }
        if (wc_parser_push(p, word, (size_t)(out - word)))
            return -ENOMEM;
    }
}

int wc_inline_split(struct wc_parser *p, const char *line, size_t len)
{
    const char *end = line + len;

    if (!memchr(line, '"', len) && !memchr(line, '\'', len))
        return split_plain(p, line, end);

    /* Unquoting never lengthens, so the line's own length is enough for all arguments. */
    if (len > p->inline_cap) {
        char *store = realloc(p->inline_store, len);
        if (!store)
            return -ENOMEM;
        p->inline_store = store;
        p->inline_cap = len;
    }
    return split_quoted(p, line, end, p->inline_store);
}
