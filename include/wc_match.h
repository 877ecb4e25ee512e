/* Recognising the one request that the kernel answers:
 *
 *     *2 CRLF $3 CRLF GET CRLF $<n> CRLF <key> CRLF        GET in any case, 1 <= n <= WC_KEY_MAX, n without leading
 * zero
 *
 * Nothing before, nothing after. Whatever this accepts, the RESP parser in userspace reads as GET of the same key
 * (tests/unit/test_match.c compares the two).
 */
#ifndef WC_MATCH_H
#define WC_MATCH_H

#include "wc_abi.h"

/* The buffer a request is matched in: 8-byte aligned, and readable to the end whatever the request's length. */
#define WC_REQUEST_BUF 160
_Static_assert(WC_REQUEST_MAX + 4 <= WC_REQUEST_BUF, "room for padding to a multiple of 4");

#define WC_REQUEST_MIN     (4 + 4 + 5 + 4 + 1 + 2)
#define WC_MATCH_DIGITS_AT 14 /* behind "*2\r\n$3\r\nGET\r\n$" */

/* Is buf[0..len) such a GET? Returns the key's length and its offset in *key_at, or 0. */
WC_INLINE __u32 wc_match_get(const __u8 *buf, __u32 len, __u32 *key_at)
{
    const __u8 *digits = buf + WC_MATCH_DIGITS_AT;
    __u32 ndigits, n;

    if (len < WC_REQUEST_MIN || len > WC_REQUEST_MAX)
        return 0;
    if (buf[0] != '*' || buf[1] != '2' || buf[2] != '\r' || buf[3] != '\n' || buf[4] != '$' || buf[5] != '3' ||
        buf[6] != '\r' || buf[7] != '\n')
        return 0;
    if ((buf[8] & 0xdf) != 'G' || (buf[9] & 0xdf) != 'E' || (buf[10] & 0xdf) != 'T' || buf[11] != '\r' ||
        buf[12] != '\n' || buf[13] != '$')
        return 0;
    if (digits[0] < '1' || digits[0] > '9')
        return 0;
    n = digits[0] - '0';
    ndigits = 1;
    if (digits[1] >= '0' && digits[1] <= '9') {
        n = n * 10 + digits[1] - '0';
        ndigits = 2;
        if (digits[2] >= '0' && digits[2] <= '9') {
            n = n * 10 + digits[2] - '0';
            ndigits = 3;
        }
    }
    if (n > WC_KEY_MAX || len != WC_MATCH_DIGITS_AT + ndigits + 2 + n + 2)
        return 0;
    if (digits[ndigits] != '\r' || digits[ndigits + 1] != '\n')
        return 0;
    *key_at = WC_MATCH_DIGITS_AT + ndigits + 2;
    if (buf[len - 2] != '\r' || buf[len - 1] != '\n')
        return 0;
    return n;
}

#endif
