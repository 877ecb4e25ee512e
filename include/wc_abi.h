/* The contract between the kernel half and the userspace half: what is in the BPF maps.
 *
 *   hot_keys    HASH          wc_hot_key -> slot number          written by the mirror (bpf() calls)
 *   hot_values  ARRAY, mmap   slot number -> wc_slot             written by the mirror (memory), hits by BPF
 *   conns       HASH          wc_conn_key -> wc_conn             written by BPF only; userspace deletes old ones
 *   conn_ctl    ARRAY, mmap   connection number -> wc_conn_ctl   written by the worker; from `taken` on by BPF
 *   replies     ARRAY         connection number -> wc_saved      written by BPF only
 *   free_conns  QUEUE         free connection numbers            userspace pushes, sock_ops pops
 *   counters    PERCPU_ARRAY  enum wc_counter -> count           written by BPF only
 *   control     ARRAY, mmap   0 -> wc_control                    written by userspace
 *
 * Sizes and offsets are asserted below; both halves compile this file.
 */
#ifndef WC_ABI_H
#define WC_ABI_H

#include "wc_tcp.h"
#include "wc_types.h"

#define WC_KEY_MAX   124  /* longest key answered in the kernel */
#define WC_VALUE_MAX 1024 /* longest value answered in the kernel */
#define WC_HEAD_MAX  8    /* room for "$1024\r\n" */
#define WC_REPLY_MAX (WC_HEAD_MAX + WC_VALUE_MAX + 2)

/* The longest request the kernel answers: *2 $3 GET $124 key. */
#define WC_REQUEST_MAX (4 + 4 + 5 + 6 + WC_KEY_MAX + 2)

/* Key of hot_keys: the bytes after `len` are zero, so that equal keys are equal as memory. */
struct wc_hot_key {
    __u32 len;
    char bytes[WC_KEY_MAX];
};

/* value_len of a slot whose key is known not to exist. */
#define WC_VALUE_NULL 0xffffffffu

/* One hot value. The mirror writes it under the shard's lock:
 *   version odd (being written) -> fields -> version even.
 * A reader copies, then checks that the version it saw first was even and has not changed.
 * The reply on the wire is the last head_len bytes of head, value[0..value_len), CR LF; or "$-1" CR LF.
 */
struct wc_slot {
    __u32 version;
    __u32 key_len; /* 0: empty */
    __u32 value_len;
    __u32 head_len;
    __u32 reply_sum; /* ones' complement sum of the reply's bytes, folded to 16 bits, in memory order */
    __u32 reserved;
    __u64 expires_ns;       /* CLOCK_MONOTONIC; 0: never. Never later than userspace's own idea of it */
    __u64 hits;             /* by BPF */
    __u64 last_hit_ns;      /* by BPF, CLOCK_MONOTONIC */
    char head[WC_HEAD_MAX]; /* "$<n>\r\n", right-aligned */
    char key[WC_KEY_MAX + 4];
    char value[WC_VALUE_MAX + 8]; /* zero-terminated, so that bpftool prints text as text */
};

/* Address pair in network byte order, IPv4 as v4-mapped IPv6. */
struct wc_conn_key {
    __u32 client[4];
    __u32 server[4];
    __u16 client_port;
    __u16 server_port;
};

/* One accelerated TCP connection. `lock` guards `tcp` and `self`; the rest is written before tcp.state is OPEN.
 * Hash elements are recycled under readers: `self` is compared under the lock. */
struct wc_conn {
    struct bpf_spin_lock lock;
    __u32 number;
    __u64 cookie; /* SO_COOKIE of the server's socket: the connection's identity */
    struct wc_conn_key self;
    __u64 closed_ns; /* when the socket closed, 0 while it is open */
    struct wc_tcp tcp;
};

enum wc_conn_flag {
    WC_CONN_ELIGIBLE = 1, /* the kernel may answer this client's GETs */
    WC_CONN_RESP3 = 2,    /* nulls are spelt "_" here: left to userspace */
};

/* What the worker says about a connection. Written by the one worker that claimed the number.
 * `progress` is one word so that both totals are read together: consumed in the low half. */
struct wc_conn_ctl {
    __u64 progress; /* bytes of requests executed | bytes of replies produced << 32, since accept */
    __u64 cookie;   /* of the connection that the worker means; the kernel's entry must agree */
    __u32 flags;    /* enum wc_conn_flag */
    /* Life of the number. Userspace pushes it into free_conns; sock_ops counts `taken` when it pops the number and
     * `returned` when the connection's entry is gone. taken == pushes and returned == taken: free again. */
    __u32 taken;
    __u32 returned;
    __u32 closed_s;    /* CLOCK_MONOTONIC seconds when the entry began to linger, 0: it does not */
    __u64 hits;        /* by BPF: GETs answered on this connection */
    __u64 last_hit_ns; /* by BPF, CLOCK_MONOTONIC */
    __u64 pad[2];
};

/* The last in-kernel reply of a connection, for retransmission.
 * `stamp` is WC_SAVED_VALID | its sequence number in client space; zeroed first and written last. */
#define WC_SAVED_VALID (1ull << 32)
struct wc_saved {
    __u64 stamp;
    __u32 len;
    __u32 sum;   /* as wc_slot.reply_sum */
    __u32 start; /* offset of the first reply byte in bytes[] */
    __u32 null;  /* the reply is a null */
    __u8 bytes[WC_REPLY_MAX + 6];
};

/* The switches for all answers. */
struct wc_control {
    __u32 answering; /* 0 stops them at once (CONFIG SET fastpath off, MONITOR, CLIENT PAUSE) */
    __u32 changing;  /* changes to several keys under way (MSET, FLUSHALL): who has seen one new value must not see an
                        old one of another key, so GETs go to userspace, where they wait for the locks */
};

/* Options fixed at load time (.rodata). */
struct wc_rodata {
    __u64 netns_cookie; /* sock_ops sees every network namespace; only this one is ours */
    __u16 port;         /* network byte order */
    __u16 pad[3];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct wc_hot_key) == 128, "hot_keys key");
_Static_assert(sizeof(struct wc_slot) % 8 == 0, "mmapable elements are 8-byte multiples");
_Static_assert(offsetof(struct wc_slot, expires_ns) == 24, "slot layout");
_Static_assert(offsetof(struct wc_slot, head) == 48, "slot layout");
_Static_assert(offsetof(struct wc_slot, key) == 56, "slot layout");
_Static_assert(offsetof(struct wc_slot, value) == 184, "slot layout");
_Static_assert(sizeof(struct wc_slot) == 1216, "slot layout");
_Static_assert(sizeof(struct wc_conn_key) == 36, "conns key has no padding");
_Static_assert(sizeof(struct wc_conn_ctl) == 64, "one cache line");
_Static_assert(offsetof(struct wc_conn, lock) == 0, "the lock comes first");
_Static_assert(sizeof(struct wc_saved) % 8 == 0, "array elements are 8-byte multiples");
#endif

#endif
