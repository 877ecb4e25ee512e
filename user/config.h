/* Server configuration: redis.conf syntax, command-line directives, CONFIG GET/SET.
 *
 * Every directive is one row of a table in config.c (name, type, field, limits, default, whether it
 * can change at run time); the file parser, the command line, CONFIG GET, CONFIG SET and --help all
 * read that table.
 */
#ifndef WC_CONFIG_H
#define WC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_CONFIG_MAX_BINDS 16
#define WC_CONFIG_STR       256

enum wc_fastpath_mode { WC_FASTPATH_OFF, WC_FASTPATH_AUTO, WC_FASTPATH_TC, WC_FASTPATH_XDP };
enum wc_io_backend { WC_IO_AUTO, WC_IO_EPOLL, WC_IO_URING };
enum wc_loglevel { WC_LOG_DEBUG, WC_LOG_VERBOSE, WC_LOG_NOTICE, WC_LOG_WARNING, WC_LOG_NOTHING };
enum wc_maxmemory_policy {
    WC_POLICY_NOEVICTION,
    WC_POLICY_ALLKEYS_LRU,
    WC_POLICY_ALLKEYS_LFU,
    WC_POLICY_ALLKEYS_RANDOM,
    WC_POLICY_VOLATILE_LRU,
    WC_POLICY_VOLATILE_LFU,
    WC_POLICY_VOLATILE_RANDOM,
    WC_POLICY_VOLATILE_TTL,
};

/* Strings are NUL-terminated and never NULL. Sizes are bytes, times are seconds unless named otherwise. */
struct wc_config {
    char file[WC_CONFIG_STR]; /* path of the configuration file, "" when none */
    int port;
    char bind[WC_CONFIG_STR]; /* space-separated addresses; a leading '-' makes one optional, as in Redis */
    char unixsocket[WC_CONFIG_STR];
    bool protected_mode;
    char requirepass[WC_CONFIG_STR];
    int databases;
    uint64_t maxmemory; /* 0: no limit */
    enum wc_maxmemory_policy maxmemory_policy;
    int maxclients;
    int timeout;       /* idle seconds before a client is closed, 0: never */
    int tcp_keepalive; /* seconds, 0: off */
    int tcp_backlog;
    enum wc_loglevel loglevel;
    char logfile[WC_CONFIG_STR]; /* "": standard output */
    uint64_t proto_max_bulk_len;
    uint64_t client_query_buffer_limit;
    int workers; /* event-loop threads, 0: one per usable core */
    enum wc_io_backend io;
    enum wc_fastpath_mode fastpath;
    char fastpath_interfaces[WC_CONFIG_STR]; /* space-separated; "lo" by default */
    int fastpath_hot_keys;                   /* slots in the kernel's table */
    int fastpath_key_max;                    /* longest key the kernel answers, bytes */
    int fastpath_value_max;                  /* longest value the kernel answers, bytes */
    char fastpath_pin_dir[WC_CONFIG_STR];
};

/* Fill cfg with the defaults. */
void wc_config_defaults(struct wc_config *cfg);

/* Read `[config-file] [--directive value ...]`. Returns 0, or -EINVAL with one line in err:
 * `FILE:LINE: ...` for a file, `command line: ...` otherwise. On error cfg must not be used.
 * `--version`, `--help` are main's business and are not passed here. */
int wc_config_load(struct wc_config *cfg, int argc, char **argv, char *err, size_t errlen);

/* Change one directive at run time (CONFIG SET). 0; -ENOENT unknown; -EPERM fixed at start;
 * -EINVAL bad value (reason in err). cfg is unchanged on error. */
int wc_config_set(struct wc_config *cfg, const char *name, const char *value, char *err, size_t errlen);

/* Call fn(arg, name, value) for every directive whose name matches the glob pattern, as CONFIG GET prints it. */
void wc_config_each(const struct wc_config *cfg, const char *pattern,
                    void (*fn)(void *arg, const char *name, const char *value), void *arg);

/* Print every directive with default and one-line description, for `wirecache --help`. */
void wc_config_usage(void);

#endif
