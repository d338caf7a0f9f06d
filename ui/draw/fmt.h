/* Numbers, times and sizes as short text. Pure; ASCII only; no locale. Buffers of FMT_MAX bytes are enough for every one. */
#ifndef HONE_UI_DRAW_FMT_H
#define HONE_UI_DRAW_FMT_H

#include <stddef.h>
#include <stdint.h>

enum { FMT_MAX = 40 };
char *fmt_value(char *out, double v); /* a metric in at most 8 columns: 0.0832 12.3 3.0e-4 1.2e+9 nan inf */
char *fmt_exponent(char *out, double v); /* 6.0e-4 */
char *fmt_count(char *out, int64_t n); /* 18,760 */
char *fmt_short(char *out, double v); /* axis labels: 0 1.6k 10M 0.02 */
char *fmt_clock(char *out, double seconds); /* 00:12:41, 3d04:11:09; "-" for negative */
char *fmt_left(char *out, double seconds); /* of an estimate: 00:09:12, 00:23:10, 02:31:00, 69d22h */
char *fmt_bytes(char *out, double n); /* 512 B, 1.2 MiB */
char *fmt_percent(char *out, double part, double whole);
char *fmt_trend(char *out, double trend); /* "v 3%" "^ 12%" "=" ; "" for unknown */

#endif
