/* wirecache: start, the clock in the main thread, stop. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fastpath/fastpath.h"
#include "log.h"
#include "net/worker.h"
#include "server.h"

#define RESERVED_FDS 128 /* listeners, epoll, logs, BPF maps and links; refused clients that still linger */
#define ERR_MAX      512

#define TICK_MS         100  /* the clock of expiry and of the workers' deadlines */
#define BUSY_TICK_MS    10   /* while expired keys are piling up */
#define EXPIRE_BUDGET   1000 /* microseconds per tick */
#define SECOND_IN_TICKS 10

static void usage(void)
{
    puts("Usage: wirecache [CONFIG-FILE] [--DIRECTIVE VALUE ...]\n"
         "       wirecache --version | --help\n"
         "\n"
         "A Redis-compatible cache whose hot GETs are answered in the kernel. CONFIG-FILE has redis.conf syntax,\n"
         "\"-\" is standard input. Directives:\n");
    wc_config_usage();
}

static int usable_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? n : 1;
}

/* At least 64, and enough that workers seldom meet in one. */
static uint32_t shards_for(int workers)
{
    uint32_t n = 64;
    while (n < 16u * (uint32_t)workers)
        n *= 2;
    return n;
}

/* Descriptors for maxclients; if the system grants fewer, maxclients is lowered. 0, or -EMFILE. */
static int raise_fd_limit(struct wc_config *cfg)
{
    rlim_t want = (rlim_t)cfg->maxclients + RESERVED_FDS;
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur >= want)
        return 0;
    struct rlimit raised = {.rlim_cur = want, .rlim_max = lim.rlim_max > want ? lim.rlim_max : want};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return 0;
    /* Without the right to raise the hard limit. */
    raised = (struct rlimit){.rlim_cur = lim.rlim_max, .rlim_max = lim.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        lim = raised;
    if (lim.rlim_cur <= RESERVED_FDS) {
        wc_log(WC_LOG_WARNING,
               "Your current 'ulimit -n' of %llu is not enough for the server to start. Please increase your open file "
               "limit to at least %llu. Exiting.",
               (unsigned long long)lim.rlim_cur, (unsigned long long)want);
        return -EMFILE;
    }
    int lowered = (int)(lim.rlim_cur - RESERVED_FDS);
    wc_log(
        WC_LOG_WARNING,
        "Current maximum open files is %llu. maxclients has been reduced from %d to %d to compensate for low ulimit. "
        "If you need higher maxclients increase 'ulimit -n'.",
        (unsigned long long)lim.rlim_cur, cfg->maxclients, lowered);
    cfg->maxclients = lowered;
    return 0;
}

static void make_run_id(char id[41])
{
    unsigned char bytes[20];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        memset(bytes, 0, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- start and stop ---- */

struct process {
    struct wc_server server;
    struct wc_listen_plan plan;
    char executable[PATH_MAX];
    int signal_fd;
};

/* In main before any thread exists: threads inherit it, and signals come to us as data. */
static int take_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL))
        return -EINVAL;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* From now on a signal kills, for the user who does not want to wait. */
static void release_signals(struct process *p)
{
    sigset_t set;

    close(p->signal_fd);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int init_server(struct process *p)
{
    struct wc_server *s = &p->server;

    pthread_mutex_init(&s->config_lock, NULL);
    pthread_mutex_init(&s->clients_lock, NULL);
    s->start_ms = wc_store_now_ms();
    s->nworkers = s->config.workers > 0 ? s->config.workers : usable_cores();
    make_run_id(s->run_id);
    ssize_t n = readlink("/proc/self/exe", p->executable, sizeof(p->executable) - 1);
    p->executable[n > 0 ? n : 0] = '\0';
    s->executable = p->executable;
    atomic_store(&s->next_client_id, 1);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return s->wake_fd < 0 ? -errno : 0;
}

static int fail(const struct process *p, const char *what)
{
    fprintf(stderr, "wirecache: %s\n", what);
    if (p->server.config.logfile[0])
        wc_log(WC_LOG_WARNING, "%s", what);
    return 1;
}

static int fail_errno(const struct process *p, const char *what, int err)
{
    char line[ERR_MAX];

    snprintf(line, sizeof(line), "%s: %s", what, strerror(-err));
    return fail(p, line);
}

/* Everything that start() made, in reverse; also what a failed start left. */
static void stop(struct process *p)
{
    struct wc_server *s = &p->server;

    if (s->workers)
        wc_workers_stop(s);
    /* After the clients: the kernel half lets their FINs through before it goes. */
    wc_fastpath_free(s->fastpath);
    if (s->workers)
        wc_workers_free(s);
    if (s->store)
        wc_store_free(s->store);
    wc_listen_release(&p->plan);
}

/* 0, or the exit code. */
static int start(struct process *p)
{
    struct wc_server *s = &p->server;
    char err[ERR_MAX];

    if (!wc_loop_available(s->config.io))
        return fail(p, "io uring is not available");
    int r = init_server(p);
    if (r)
        return fail_errno(p, "Could not start", r);
    /* First the port, so that nothing is touched when it is taken. */
    if (wc_listen_prepare(&p->plan, &s->config, err, sizeof(err)))
        return fail(p, err);
    if (p->plan.naddrs == 0 && !p->plan.unix_path[0])
        return fail(p, "Configured to not listen anywhere, exiting.");
    if (raise_fd_limit(&s->config))
        return 1;
    wc_log(WC_LOG_NOTICE, "wirecache %s starting, pid %d, port %d", WC_VERSION, (int)getpid(), s->config.port);
    s->store = wc_store_new(shards_for(s->nworkers), s->config.databases);
    if (!s->store)
        return fail(p, "Could not create the store: out of memory");
    /* Before any socket: it places its descriptors above theirs. */
    s->fastpath = wc_fastpath_new(&s->config, s->store);
    r = wc_workers_new(s);
    if (r)
        return fail_errno(p, "Could not create the workers", r);
    if (wc_workers_listen(s, &p->plan, err, sizeof(err)))
        return fail(p, err);
    r = wc_workers_start(s);
    if (r)
        return fail_errno(p, "Could not start the workers", r);
    wc_log(WC_LOG_NOTICE, "%d workers, io %s, %u shards", s->nworkers, s->workers[0].loop->ops->name,
           wc_store_shards(s->store));
    if (p->plan.unix_fd >= 0)
        wc_log(WC_LOG_NOTICE, "The server is now ready to accept connections at %s", p->plan.unix_path);
    if (p->plan.naddrs > 0)
        wc_log(WC_LOG_NOTICE, "Ready to accept connections");
    return 0;
}

/* ---- the clock ---- */

/* One slice of expiry. Returns how long until the next. */
static int expire_slice(struct wc_server *s)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    wc_store_expire_cycle(s->store, wc_store_now_ms(), EXPIRE_BUDGET);
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t us = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
    /* It stops early when little is expired; when it does not, more is waiting. */
    return us >= EXPIRE_BUDGET ? BUSY_TICK_MS : TICK_MS;
}

static bool got_signal(struct process *p)
{
    struct signalfd_siginfo info;

    if (read(p->signal_fd, &info, sizeof(info)) != sizeof(info))
        return false;
    wc_log(WC_LOG_WARNING, "Received %s scheduling shutdown...", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    return true;
}

/* Until a signal or SHUTDOWN. */
static void run(struct process *p)
{
    struct wc_server *s = &p->server;
    int64_t next_tick = 0;
    unsigned ticks = 0;
    int wait_ms = 0;

    while (!atomic_load(&s->stopping)) {
        struct pollfd fds[] = {{.fd = p->signal_fd, .events = POLLIN}, {.fd = s->wake_fd, .events = POLLIN}};
        poll(fds, 2, wait_ms);
        if ((fds[0].revents & POLLIN) && got_signal(p))
            atomic_store(&s->stopping, true);
        uint64_t count;
        if ((fds[1].revents & POLLIN) && read(s->wake_fd, &count, sizeof(count)) < 0)
            continue;
        wait_ms = expire_slice(s);
        int64_t now = wc_store_now_ms();
        if (now >= next_tick || next_tick - now > TICK_MS) {
            next_tick = now + TICK_MS;
            /* Idle clients are looked for once a second. */
            wc_workers_tick(s, s->config.timeout > 0 && ++ticks % SECOND_IN_TICKS == 0);
        }
    }
}

static bool has_option(int argc, char **argv, const char *longer, const char *shorter)
{
    return argc == 2 && (strcmp(argv[1], longer) == 0 || strcmp(argv[1], shorter) == 0);
}

int main(int argc, char **argv)
{
    struct process process = {0};
    struct process *p = &process;
    char err[ERR_MAX];

    if (has_option(argc, argv, "--version", "-v")) {
        puts("wirecache " WC_VERSION);
        return 0;
    }
    if (has_option(argc, argv, "--help", "-h")) {
        usage();
        return 0;
    }
    p->plan.lock_fd = p->plan.unix_fd = -1;
    wc_config_defaults(&p->server.config);
    if (wc_config_load(&p->server.config, argc, argv, err, sizeof(err))) {
        fprintf(stderr, "wirecache: %s\n", err);
        return 1;
    }
    int r = wc_log_open(p->server.config.logfile, p->server.config.loglevel);
    if (r) {
        fprintf(stderr, "wirecache: Can't open the log file %s: %s\n", p->server.config.logfile, strerror(-r));
        return 1;
    }
    p->signal_fd = take_signals();
    if (p->signal_fd < 0)
        return fail_errno(p, "Could not take signals", p->signal_fd);
    int code = start(p);
    if (code == 0) {
        run(p);
        release_signals(p);
        wc_log(WC_LOG_WARNING, "User requested shutdown...");
    }
    stop(p);
    if (code == 0)
        wc_log(WC_LOG_WARNING, "wirecache is now ready to exit, bye bye...");
    return code;
}
