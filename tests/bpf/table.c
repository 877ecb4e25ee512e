#include "table.h"

#include <stdio.h>

static bool wanted(const struct row *row, const struct variant *v)
{
    return !((row->only & ONLY_V4 && v->v6) || (row->only & ONLY_V6 && !v->v6) || (row->only & ONLY_TS && !v->ts) ||
             (row->only & ONLY_NO_TS && v->ts) || (row->only & ONLY_TC && v->hook == FIX_XDP) ||
             (row->only & ONLY_XDP && v->hook != FIX_XDP));
}

static void run(struct fix *f, const struct row *rows, size_t n, struct variant *v, unsigned *ran, unsigned *failed)
{
    for (size_t i = 0; i < n; i++)
        for (int bits = 0; bits < 4; bits++) {
            v->v6 = bits & 1;
            v->ts = bits & 2;
            if (!wanted(&rows[i], v))
                continue;
            ++*ran;
            *failed += !scene_run(f, &rows[i], v);
        }
}

void table_run_how(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook, const struct fix_how *how)
{
    struct variant v = {.hook = hook, .how = *how};
    unsigned ran = 0, failed = 0;

    run(f, rows, n, &v, &ran, &failed);
    printf("    %u packets\n", ran);
    assert_int_equal(failed, 0);
}

void table_run(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook)
{
    table_run_how(f, rows, n, hook, &(struct fix_how){0});
}

void table_run_wrapped(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook)
{
    /* Zero falls on each of these numbers in turn: in kernel space, then in client space. */
    static const uint32_t ins[] = {K_IN, K_IN + 1, K_IN + REQ, C_IN, C_IN + 1, C_IN + REQ - 1, C_IN + REQ, EDGE};
    static const uint32_t outs[] = {K_OUT,     K_OUT + 1,       K_OUT + 5,   C_OUT,
                                    C_OUT + 1, C_OUT + REP - 1, C_OUT + REP, C_OUT + 12};
    unsigned ran = 0, failed = 0;

    for (size_t i = 0; i < sizeof(ins) / sizeof(ins[0]); i++) {
        struct variant kernel = {.hook = hook, .in_shift = -ins[i], .out_shift = -outs[i]};
        struct variant client = {.hook = hook, .din_shift = -ins[i], .dout_shift = -outs[i]};
        struct variant half = {.hook = hook, .in_shift = 0x80000000 - ins[i], .out_shift = 0x80000000 - outs[i]};

        run(f, rows, n, &kernel, &ran, &failed);
        run(f, rows, n, &client, &ran, &failed);
        run(f, rows, n, &half, &ran, &failed);
        if (failed)
            break;
    }
    printf("    %u packets\n", ran);
    assert_int_equal(failed, 0);
}
