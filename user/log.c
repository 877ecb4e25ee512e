#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The log is the one thing that every module may use without being handed it. A line is one write() to a descriptor
 * opened with O_APPEND, so lines of several threads do not mix and no lock is needed. */
static atomic_int log_fd = STDOUT_FILENO;
static atomic_int log_level = WC_LOG_NOTICE;

#define LOG_MAX 1024

int wc_log_open(const char *path, enum wc_loglevel level)
{
    int fd = STDOUT_FILENO, old;

    if (path[0]) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return -errno;
    }
    old = atomic_exchange(&log_fd, fd);
    if (old != STDOUT_FILENO)
        close(old);
    wc_log_set_level(level);
    return 0;
}

void wc_log_set_level(enum wc_loglevel level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

/* "pid:M 24 Nov 2026 11:00:00.123 * " */
static size_t log_prefix(char *buf, size_t size, enum wc_loglevel level)
{
    static const char marks[] = {'.', '-', '*', '#'};
    struct timespec ts;
    struct tm tm;
    char date[32];

    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &tm);
    return (size_t)snprintf(buf, size, "%d:M %s.%03d %c ", (int)getpid(), date, (int)(ts.tv_nsec / 1000000),
                            marks[level]);
}

void wc_log(enum wc_loglevel level, const char *fmt, ...)
{
    char line[LOG_MAX + 64];
    size_t len, room;
    va_list args;
    int n;

    if (level >= WC_LOG_NOTHING || (int)level < atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    len = log_prefix(line, sizeof(line), level);
    room = sizeof(line) - len - 1; /* 1: the newline takes the place of the terminating zero */
    if (room > LOG_MAX)
        room = LOG_MAX;
    va_start(args, fmt);
    n = vsnprintf(line + len, room, fmt, args);
    va_end(args);
    if (n > 0) {
        size_t end = len + ((size_t)n < room ? (size_t)n : room - 1);

        for (; len < end; len++) /* what came from a client must not forge a line of its own */
            if ((unsigned char)line[len] < ' ')
                line[len] = ' ';
    }
    line[len++] = '\n';
    /* Nobody can be told that the log cannot be written. */
    if (write(atomic_load(&log_fd), line, len) < 0)
        return;
}
