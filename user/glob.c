/* Glob matching without recursion. Everything but '*' takes exactly one character, so when a mismatch is met it is
 * enough to let the last '*' take one more: earlier ones never need to be tried again. */
#include "glob.h"

#include <ctype.h>

static bool same_char(char a, char b, bool nocase)
{
    return nocase ? tolower((unsigned char)a) == tolower((unsigned char)b) : a == b;
}

static bool in_range(char first, char last, char c, bool nocase)
{
    int lo = (unsigned char)first, hi = (unsigned char)last, x = (unsigned char)c;

    if (lo > hi) {
        int swap = lo;
        lo = hi;
        hi = swap;
    }
    if (nocase) {
        lo = tolower(lo);
        hi = tolower(hi);
        x = tolower(x);
    }
    return x >= lo && x <= hi;
}

/* Match c against the class that starts after '['. *used: the class's characters, the closing ']' included. As in
 * Redis a class that is never closed ends with the pattern. */
static bool match_class(const char *pattern, size_t plen, char c, bool nocase, size_t *used)
{
    size_t i = 0;
    bool negated = plen > 0 && pattern[0] == '^', found = false;

    if (negated)
        i++;
    while (i < plen && pattern[i] != ']') {
        if (pattern[i] == '\\' && plen - i >= 2) {
            found |= pattern[i + 1] == c;
            i += 2;
        } else if (plen - i >= 3 && pattern[i + 1] == '-') {
            found |= in_range(pattern[i], pattern[i + 2], c, nocase);
            i += 3;
        } else {
            found |= same_char(pattern[i], c, nocase);
            i++;
        }
    }
    *used = i < plen ? i + 1 : i;
    return found != negated;
}

/* Match one character of the string against the pattern's next element, which is not '*'. */
static bool match_one(const char *pattern, size_t plen, char c, bool nocase, size_t *used)
{
    *used = 1;
    switch (pattern[0]) {
    case '?':
        return true;
    case '[': {
        size_t class_used;
        bool ok = match_class(pattern + 1, plen - 1, c, nocase, &class_used);

        *used += class_used;
        return ok;
    }
    case '\\':
        if (plen >= 2) {
            *used = 2;
            return same_char(pattern[1], c, nocase);
        }
        break;
    default:
        break;
    }
    return same_char(pattern[0], c, nocase);
}

bool wc_glob_match(const char *pattern, size_t plen, const char *str, size_t slen, bool nocase)
{
    size_t p = 0, s = 0;
    size_t star = 0, star_end = 0; /* pattern after the last '*' met, and where what it took ends */
    bool have_star = false;

    while (s < slen) {
        size_t used;

        if (p < plen && pattern[p] == '*') {
            have_star = true;
            star = ++p;
            star_end = s;
        } else if (p < plen && match_one(pattern + p, plen - p, str[s], nocase, &used)) {
            p += used;
            s++;
        } else if (have_star) {
            p = star;
            s = ++star_end;
        } else {
            return false;
        }
    }
    while (p < plen && pattern[p] == '*')
        p++;
    return p == plen;
}
