/* The table of directives, and how a value is read, checked, stored and printed. Where the values come from
 * (files, standard input, the command line) is config_file.c. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_internal.h"
#include "glob.h"
#include "wc_abi.h"

enum type {
    INT,   /* min..max */
    BYTES, /* min..max, with Redis's units */
    BOOL,  /* yes, no */
    ENUM,  /* one of names, stored as its position */
    TEXT,  /* at most max bytes */
    LIST,  /* 1..min words of at most max bytes, stored joined by spaces */
    INERT, /* one of names, or anything when names is NULL; not stored */
};

enum when { START, LIVE }; /* LIVE: CONFIG SET may change it */

struct directive {
    const char *name;
    enum type type;
    enum when when;
    size_t offset; /* of the field in struct wc_config */
    uint64_t min, max;
    const char *const *names;
    const char *initial;
    const char *help;
};

/* Names of the enums in config.h, in their order. */
static const char *const io_names[] = {"auto", "epoll", "uring", NULL};
static const char *const fastpath_names[] = {"off", "auto", "tc", "xdp", NULL};
static const char *const loglevel_names[] = {"debug", "verbose", "notice", "warning", "nothing", NULL};
static const char *const policy_names[] = {"noeviction",      "allkeys-lru",  "allkeys-lfu",
                                           "allkeys-random",  "volatile-lru", "volatile-lfu",
                                           "volatile-random", "volatile-ttl", NULL};
/* What an inert directive may say. */
static const char *const only_no[] = {"no", NULL};
static const char *const only_empty[] = {"", NULL};

#define MB            (UINT64_C(1) << 20)
#define STR_MAX       (WC_CONFIG_STR - 1)
#define ADDRESS_MAX   64
#define INTERFACE_MAX 15  /* IFNAMSIZ less the zero */
#define SOCKET_MAX    107 /* sun_path less the zero */

#define AT(field) offsetof(struct wc_config, field)

/* clang-format off */
static const struct directive directives[] = {
    {"port", INT, START, AT(port), 0, 65535, NULL, "6379", "TCP port, 0: none"},
    {"bind", LIST, START, AT(bind), WC_CONFIG_MAX_BINDS, ADDRESS_MAX, NULL, "* -::*", "addresses to listen on; -address: if the host has it"},
    {"unixsocket", TEXT, START, AT(unixsocket), 0, SOCKET_MAX, NULL, "", "path of a Unix socket to listen on"},
    {"protected-mode", BOOL, LIVE, AT(protected_mode), 0, 0, NULL, "yes", "without a password, serve local clients only"},
    {"requirepass", TEXT, LIVE, AT(requirepass), 0, STR_MAX, NULL, "", "password that clients must give"},
    {"databases", INT, START, AT(databases), 1, 1024, NULL, "16", "number of databases"},
    {"maxmemory", BYTES, LIVE, AT(maxmemory), 0, UINT64_MAX, NULL, "0", "limit on memory, 0: none"},
    {"maxmemory-policy", ENUM, LIVE, AT(maxmemory_policy), 0, 0, policy_names, "noeviction", "what to evict at the limit"},
    {"maxclients", INT, LIVE, AT(maxclients), 1, INT_MAX, NULL, "10000", "clients served at once"},
    {"timeout", INT, LIVE, AT(timeout), 0, INT_MAX, NULL, "0", "close a client idle for this many seconds, 0: never"},
    {"tcp-keepalive", INT, LIVE, AT(tcp_keepalive), 0, INT_MAX, NULL, "300", "seconds between keepalive probes, 0: none"},
    {"tcp-backlog", INT, START, AT(tcp_backlog), 0, INT_MAX, NULL, "511", "connections waiting to be accepted"},
    {"loglevel", ENUM, LIVE, AT(loglevel), 0, 0, loglevel_names, "notice", "least important messages to log"},
    {"logfile", TEXT, START, AT(logfile), 0, STR_MAX, NULL, "", "file to log to, \"\": standard output"},
    {"proto-max-bulk-len", BYTES, LIVE, AT(proto_max_bulk_len), MB, INT64_MAX, NULL, "512mb", "longest argument"},
    {"client-query-buffer-limit", BYTES, LIVE, AT(client_query_buffer_limit), MB, INT64_MAX, NULL, "1gb", "most unread input of a client"},
    {"workers", INT, START, AT(workers), 0, 1024, NULL, "0", "threads, 0: one for each core"},
    {"io", ENUM, START, AT(io), 0, 0, io_names, "auto", "how workers wait for the network"},
    {"fastpath", ENUM, LIVE, AT(fastpath), 0, 0, fastpath_names, "auto", "answer hot GETs in the kernel"},
    {"fastpath-interfaces", LIST, START, AT(fastpath_interfaces), 15, INTERFACE_MAX, NULL, "lo", "network interfaces to do so on"},
    {"fastpath-hot-keys", INT, START, AT(fastpath_hot_keys), 1, 1048576, NULL, "16384", "keys the kernel holds"},
    {"fastpath-key-max", INT, START, AT(fastpath_key_max), 1, WC_KEY_MAX, NULL, "124", "longest key it holds"},
    {"fastpath-value-max", INT, START, AT(fastpath_value_max), 1, WC_VALUE_MAX, NULL, "1024", "longest value it holds"},
    {"fastpath-pin-dir", TEXT, START, AT(fastpath_pin_dir), 0, STR_MAX, NULL, "/sys/fs/bpf/wirecache", "where its maps are pinned"},

    /* Found in nearly every redis.conf. A cache keeps nothing on disk and does not fork: the words that say so are
     * accepted, all others are refused rather than silently not done. dir and dbfilename say where a dump would
     * go and mean nothing without one. */
    {"save", INERT, LIVE, 0, 0, 0, only_empty, "", "accepted from a redis.conf: nothing is saved"},
    {"appendonly", INERT, LIVE, 0, 0, 0, only_no, "no", "likewise"},
    {"dir", INERT, START, 0, 0, 0, NULL, "", "likewise, not used"},
    {"dbfilename", INERT, START, 0, 0, 0, NULL, "", "likewise, not used"},
    {"daemonize", INERT, START, 0, 0, 0, only_no, "no", "likewise: the server stays in the foreground"},
    {"supervised", INERT, START, 0, 0, 0, only_no, "no", "likewise"},
    {"cluster-enabled", INERT, START, 0, 0, 0, only_no, "no", "likewise: one server is one cache"},
};
/* clang-format on */

#define NDIRECTIVES (sizeof(directives) / sizeof(directives[0]))

/* A value that was read and checked, before it is stored. */
struct value {
    int number; /* INT, BOOL, ENUM */
    uint64_t bytes;
    char text[WC_CONFIG_STR];
};

static const struct directive *find(const char *name)
{
    for (size_t i = 0; i < NDIRECTIVES; i++)
        if (strcasecmp(directives[i].name, name) == 0)
            return &directives[i];
    return NULL;
}

static int position(const char *const *names, const char *word)
{
    for (int i = 0; names[i]; i++)
        if (strcasecmp(names[i], word) == 0)
            return i;
    return -1;
}

/* "a, b or c" */
static void join_names(const char *const *names, char *out, size_t size)
{
    size_t len = 0;

    out[0] = 0;
    for (int i = 0; names[i] && len < size; i++) {
        const char *before = i == 0 ? "" : names[i + 1] ? ", " : " or ";

        len += (size_t)snprintf(out + len, size - len, "%s%s", before, names[i][0] ? names[i] : "\"\"");
    }
}

/* What a directive accepts, for error messages. */
static void describe(const struct directive *d, char *out, size_t size)
{
    char names[160];

    switch (d->type) {
    case INT:
        snprintf(out, size, "an integer from %llu to %llu", (unsigned long long)d->min, (unsigned long long)d->max);
        break;
    case BYTES:
        snprintf(out, size, "a size such as 100mb%s", d->min ? ", at least 1mb" : "");
        break;
    case BOOL:
        snprintf(out, size, "yes or no");
        break;
    case TEXT:
        snprintf(out, size, "at most %llu bytes", (unsigned long long)d->max);
        break;
    case LIST:
        snprintf(out, size, "1 to %llu words of at most %llu bytes", (unsigned long long)d->min,
                 (unsigned long long)d->max);
        break;
    case ENUM:
    case INERT:
        join_names(d->names, names, sizeof(names));
        snprintf(out, size, "%s%s", d->type == INERT ? "only " : "", names);
        break;
    }
}

static int parse_int(const struct directive *d, const char *word, int *out)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(word, &end, 10);
    if (end == word || *end || errno || v < (long long)d->min || v > (long long)d->max)
        return -EINVAL;
    *out = (int)v;
    return 0;
}

static int parse_bytes(const struct directive *d, const char *word, uint64_t *out)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    char *end;
    unsigned long long v;

    if (word[0] < '0' || word[0] > '9') /* strtoull would take a sign */
        return -EINVAL;
    errno = 0;
    v = strtoull(word, &end, 10);
    if (errno)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t bytes;

        if (strcasecmp(end, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow((uint64_t)v, units[i].factor, &bytes) || bytes < d->min || bytes > d->max)
            return -EINVAL;
        *out = bytes;
        return 0;
    }
    return -EINVAL;
}

/* Join the words of all arguments ("a b" counts as two) by single spaces. */
static int parse_list(const struct directive *d, int n, char *const *words, char *out)
{
    uint64_t count = 0;
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        const char *p = words[i];

        while (*(p += strspn(p, " \t"))) {
            size_t word = strcspn(p, " \t");

            if (word > d->max || ++count > d->min || len + word + 2 > WC_CONFIG_STR)
                return -EINVAL;
            if (len)
                out[len++] = ' ';
            memcpy(out + len, p, word);
            len += word;
            p += word;
        }
    }
    out[len] = 0;
    return count ? 0 : -EINVAL;
}

static int parse_text(const struct directive *d, const char *word, char *out)
{
    size_t len = strlen(word);

    if (len > d->max)
        return -EINVAL;
    memcpy(out, word, len + 1);
    return 0;
}

static int parse_name(const char *const *names, const char *word, int *out)
{
    *out = names ? position(names, word) : 0;
    return *out < 0 ? -EINVAL : 0;
}

static int parse(const struct directive *d, int n, char *const *words, struct value *v)
{
    static const char *const bool_names[] = {"no", "yes", NULL};

    switch (d->type) {
    case INT:
        return parse_int(d, words[0], &v->number);
    case BYTES:
        return parse_bytes(d, words[0], &v->bytes);
    case BOOL:
        return parse_name(bool_names, words[0], &v->number);
    case ENUM:
    case INERT:
        return n == 1 ? parse_name(d->names, words[0], &v->number) : -EINVAL;
    case TEXT:
        return parse_text(d, words[0], v->text);
    case LIST:
        return parse_list(d, n, words, v->text);
    }
    return -EINVAL;
}

static void store(struct wc_config *cfg, const struct directive *d, const struct value *v)
{
    char *field = (char *)cfg + d->offset;

    switch (d->type) {
    case INT:
    case ENUM:
        memcpy(field, &v->number, sizeof(int)); /* enums of config.h have the size of int */
        break;
    case BYTES:
        memcpy(field, &v->bytes, sizeof(v->bytes));
        break;
    case BOOL:
        *(bool *)field = v->number;
        break;
    case TEXT:
    case LIST:
        memcpy(field, v->text, strlen(v->text) + 1);
        break;
    case INERT:
        break;
    }
}

/* Read, check and store one value. On error cfg is unchanged and err says "invalid value 'x' (what is valid)". */
static int assign(struct wc_config *cfg, const struct directive *d, int n, char *const *words, char *err, size_t errlen)
{
    struct value v = {0};
    char valid[200];

    if (parse(d, n, words, &v) == 0) {
        store(cfg, d, &v);
        return 0;
    }
    describe(d, valid, sizeof(valid));
    snprintf(err, errlen, "invalid value '%.64s' (%s)", words[0], valid);
    return -EINVAL;
}

void wc_config_defaults(struct wc_config *cfg)
{
    char ignored[1];

    memset(cfg, 0, sizeof(*cfg));
    for (size_t i = 0; i < NDIRECTIVES; i++) {
        char *word = (char *)directives[i].initial;

        if (assign(cfg, &directives[i], 1, &word, ignored, sizeof(ignored)))
            abort(); /* the table contradicts itself */
    }
}

int wc_config_apply(struct wc_config *cfg, int nwords, char *const *words, char *err, size_t errlen)
{
    const struct directive *d = find(words[0]);
    char reason[320];

    if (!d) {
        snprintf(err, errlen, "unknown directive '%.64s'", words[0]);
        return -EINVAL;
    }
    if (nwords < 2 || (nwords > 2 && d->type != LIST && d->type != INERT)) {
        snprintf(err, errlen, "%s: takes %s, not %d", d->name, d->type == LIST ? "at least one value" : "one value",
                 nwords - 1);
        return -EINVAL;
    }
    if (assign(cfg, d, nwords - 1, words + 1, reason, sizeof(reason)) == 0)
        return 0;
    snprintf(err, errlen, "%s: %s", d->name, reason);
    return -EINVAL;
}

int wc_config_set(struct wc_config *cfg, const char *name, const char *value, char *err, size_t errlen)
{
    const struct directive *d = find(name);
    char *word = (char *)value;

    if (!d)
        return -ENOENT;
    if (d->when == START)
        return -EPERM;
    return assign(cfg, d, 1, &word, err, errlen);
}

/* The value as CONFIG GET prints it; scratch is used for numbers. */
static const char *print(const struct wc_config *cfg, const struct directive *d, char *scratch, size_t size)
{
    const char *field = (const char *)cfg + d->offset;
    uint64_t bytes;
    int number;

    switch (d->type) {
    case INT:
        memcpy(&number, field, sizeof(number));
        snprintf(scratch, size, "%d", number);
        return scratch;
    case BYTES:
        memcpy(&bytes, field, sizeof(bytes));
        snprintf(scratch, size, "%llu", (unsigned long long)bytes);
        return scratch;
    case BOOL:
        return *(const bool *)field ? "yes" : "no";
    case ENUM:
        memcpy(&number, field, sizeof(number));
        return d->names[number];
    case TEXT:
    case LIST:
        return field;
    case INERT:
        break;
    }
    return d->initial;
}

void wc_config_each(const struct wc_config *cfg, const char *pattern,
                    void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    char scratch[24];

    for (size_t i = 0; i < NDIRECTIVES; i++) {
        const struct directive *d = &directives[i];

        if (wc_glob_match(pattern, strlen(pattern), d->name, strlen(d->name), true))
            fn(arg, d->name, print(cfg, d, scratch, sizeof(scratch)));
    }
}

void wc_config_usage(void)
{
    for (size_t i = 0; i < NDIRECTIVES; i++) {
        const struct directive *d = &directives[i];
        const char *initial = d->initial[0] ? d->initial : "\"\"";

        printf("  --%-26s %-22s %s\n", d->name, initial, d->help);
    }
}
