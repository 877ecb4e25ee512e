/* wirecachectl: looks at a host, and cleans up after a server that crashed.
 *
 *   wirecachectl doctor [config-file] [--directive value ...]     what this host can do; exit 1 if there is a problem
 *   wirecachectl detach [config-file] [--directive value ...]     take off what a dead server on this port left
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "fastpath/internal.h"
#include "fastpath/probe.h"
#include "log.h"
#include "net/listen.h"

static int usage(void)
{
    fputs("usage: wirecachectl doctor|detach [CONFIG-FILE] [--DIRECTIVE VALUE ...]\n", stderr);
    return 2;
}

static void print_finding(void *arg, enum wc_finding finding, const char *text)
{
    static const char *const marks[] = {"ok      ", "note    ", "PROBLEM "};

    (void)arg;
    printf("%s%s\n", marks[finding], text);
}

static int doctor(const struct wc_config *cfg)
{
    wc_kernel_quiet_libraries();
    return wc_probe(cfg, print_finding, NULL) ? 1 : 0;
}

static int detach(const struct wc_config *cfg)
{
    char err[512] = "";
    struct wc_listen_plan plan;
    struct wc_attach attach;
    struct wc_rodata options;
    int rc = wc_listen_prepare(&plan, cfg, err, sizeof(err));

    /* A port that nobody holds is what tells a dead server's programs from a live one's. */
    if (rc) {
        fprintf(stderr, "wirecachectl: a server seems to be running: %s\n", err);
        return 1;
    }
    wc_kernel_quiet_libraries();
    rc = wc_kernel_options(cfg, &options, err);
    if (!rc) {
        wc_attach_init(&attach, cfg);
        wc_attach_clean(&attach, &options);
    } else {
        fprintf(stderr, "wirecachectl: %s\n", err);
    }
    wc_listen_release(&plan);
    return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct wc_config cfg;
    char err[512];

    if (argc < 2)
        return usage();
    wc_config_defaults(&cfg);
    if (wc_config_load(&cfg, argc - 1, argv + 1, err, sizeof(err))) {
        fprintf(stderr, "wirecachectl: %s\n", err);
        return 1;
    }
    wc_log_open("", WC_LOG_NOTICE);
    if (!strcmp(argv[1], "doctor"))
        return doctor(&cfg);
    if (!strcmp(argv[1], "detach"))
        return detach(&cfg);
    return usage();
}
