/* Fixed-width types and the few words that the BPF programs and the userspace server both need. */
#ifndef WC_TYPES_H
#define WC_TYPES_H

#ifdef __bpf__
#include "vmlinux.h"
#define true 1
#define false 0
#else
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#endif

/* A helper that must vanish into its caller: BPF programs hold a spin lock around it and may not call there. */
#define WC_INLINE static inline __attribute__((always_inline))

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

#endif
