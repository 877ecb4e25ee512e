/* Every outcome of a packet has a name and a counter. Numbers are positions in this list; append, never reorder
 * (`bpftool map dump name counters` prints them by number).
 *
 * WC_COUNTERS(X): X(id, name, description). INFO prints `fastpath_<name>`.
 */
#ifndef WC_COUNTERS_H
#define WC_COUNTERS_H

#define WC_COUNTERS(X)                                                                                                 \
    X(HITS, "hits", "GETs answered in the kernel")                                                                     \
    X(HITS_NULL, "hits_null", "of these, answered with a null")                                                        \
    X(HITS_XDP, "hits_xdp", "of these, answered by the XDP program")                                                   \
    X(IN_BYTES, "in_bytes", "request bytes answered in the kernel")                                                    \
    X(OUT_BYTES, "out_bytes", "reply bytes sent from the kernel")                                                      \
    X(REPLAYS, "replays", "saved replies sent again")                                                                  \
    X(DROPPED_ACKS, "dropped_acks", "bare ACKs that told the stack nothing new")                                       \
    X(DROPPED_REPLAYS, "dropped_replays", "segments dropped because the saved reply could not be sent")                \
    X(DROPPED_SPANNING, "dropped_spanning", "retransmissions dropped because they span an unacknowledged reply")       \
    X(NO_NUMBER, "no_number", "connections not accelerated: connection numbers used up")                               \
    X(PASS_FLAGS, "pass_flags", "GET passed up: URG, ECE, CWR, FIN or a congestion mark")                              \
    X(PASS_OPTIONS, "pass_options", "passed up: IP options, fragments, extension headers, other TCP options")          \
    X(PASS_NOT_GET, "pass_not_get", "passed up: the payload is not exactly one GET within the limits")                 \
    X(PASS_NOT_ELIGIBLE, "pass_not_eligible", "GET passed up: the connection or the server does not allow it now")     \
    X(PASS_NOT_HOT, "pass_not_hot", "GET passed up: the key is not in hot_keys")                                       \
    X(PASS_EMPTY, "pass_empty", "GET passed up: the slot is empty or holds another key")                               \
    X(PASS_EXPIRED, "pass_expired", "GET passed up: the value has expired")                                            \
    X(PASS_BUSY, "pass_busy", "GET passed up: the value was being written")                                            \
    X(PASS_CHECKSUM, "pass_checksum", "GET passed up: the TCP checksum is wrong")                                      \
    X(PASS_CLOSING, "pass_closing", "GET passed up: the connection is closing")                                        \
    X(PASS_SILENT, "pass_silent", "GET passed up: the stack has not sent anything yet")                                \
    X(PASS_NOT_EXECUTED, "pass_not_executed", "GET passed up: bytes before it are not executed yet, or it is old")     \
    X(PASS_UNACKED, "pass_unacked", "GET passed up: the client has not acknowledged every reply")                      \
    X(PASS_TIMESTAMP, "pass_timestamp", "GET passed up: timestamp missing, unexpected or old")                         \
    X(PASS_WINDOW, "pass_window", "GET passed up: the reply does not fit the client's window")                         \
    X(PASS_SEGMENT, "pass_segment", "GET passed up: the reply does not fit one segment")                               \
    X(PASS_GROW, "pass_grow", "GET passed up: the packet could not be resized")                                        \
    X(PASS_FEED, "pass_feed", "GET left by XDP to TC: its ACK is news to the stack")

enum wc_counter {
#define WC_COUNTER_ENUM(id, name, text) WC_CTR_##id,
    WC_COUNTERS(WC_COUNTER_ENUM)
#undef WC_COUNTER_ENUM
        WC_CTR_COUNT
};

#endif
