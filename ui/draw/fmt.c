/* Numbers as short text; see the header. Any thread. */
#include "config.h"

#include "ui/draw/fmt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/err.h"

/* 3.0e-04 -> 3.0e-4 */
static void exponent_short(char *s) {
    char *e = strchr(s, 'e');
    if (!e) return;
    char *d = e + 2;
    while (*d == '0' && d[1]) memmove(d, d + 1, strlen(d));
}

char *fmt_exponent(char *out, double v) {
    snprintf(out, FMT_MAX, "%.1e", v);
    exponent_short(out);
    return out;
}

char *fmt_value(char *out, double v) {
    double a = fabs(v);
    if (isnan(v)) snprintf(out, FMT_MAX, "nan");
    else if (isinf(v)) snprintf(out, FMT_MAX, v < 0 ? "-inf" : "inf");
    else if (a == 0) snprintf(out, FMT_MAX, "0");
    else if (a < 1e-3) snprintf(out, FMT_MAX, "%.1e", v);
    else if (a < 9.99995) snprintf(out, FMT_MAX, "%.4f", v);
    else if (a < 99.9995) snprintf(out, FMT_MAX, "%.3f", v);
    else if (a < 999.95) snprintf(out, FMT_MAX, "%.1f", v);
    else if (a < 99999.5) snprintf(out, FMT_MAX, "%.0f", v);
    else snprintf(out, FMT_MAX, "%.2e", v);
    exponent_short(out);
    return out;
}

char *fmt_count(char *out, int64_t n) {
    char digits[FMT_MAX];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && digits[i - 1] != '-' && (len - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

/* Trailing zeros of a decimal fraction go. */
static void zeros_trim(char *s) {
    if (!strchr(s, '.') || strchr(s, 'e')) return;
    char *end = s + strlen(s);
    while (end[-1] == '0') *--end = 0;
    if (end[-1] == '.') *--end = 0;
}

char *fmt_short(char *out, double v) {
    static const struct {
        double unit;
        char sign;
    } units[] = {{1e12, 'T'}, {1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}};
    double a = fabs(v);
    if (!isfinite(v)) return fmt_value(out, v);
    if (a >= 1e15 || (a > 0 && a < 1e-3)) return fmt_exponent(out, v);
    for (size_t i = 0; i < LEN(units); i++)
        if (a >= units[i].unit) {
            char num[FMT_MAX];
            double x = v / units[i].unit;
            snprintf(num, sizeof num, "%.*f", fabs(x) < 9.995 ? 2 : fabs(x) < 99.95 ? 1 : 0, x);
            zeros_trim(num);
            snprintf(out, FMT_MAX, "%.30s%c", num, units[i].sign);
            return out;
        }
    snprintf(out, FMT_MAX, "%.*f", a >= 99.95 ? 0 : a >= 9.995 ? 1 : a >= 0.9995 ? 2 : a >= 0.09995 ? 3 : 4, v);
    zeros_trim(out);
    return out;
}

char *fmt_clock(char *out, double seconds) {
    if (!(seconds >= 0) || seconds > 1e10) {
        snprintf(out, FMT_MAX, "-");
        return out;
    }
    int64_t s = (int64_t)seconds;
    if (s >= 100 * 3600) snprintf(out, FMT_MAX, "%lldd%02d:%02d:%02d", (long long)(s / 86400), (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
    else snprintf(out, FMT_MAX, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    return out;
}

char *fmt_left(char *out, double seconds) {
    if (!(seconds >= 0) || seconds > 1e10 || seconds < 600) return fmt_clock(out, seconds);
    int64_t s = (int64_t)seconds, unit = s < 3600 ? 10 : 60;
    if (s < 100 * 3600) return fmt_clock(out, (double)(s / unit * unit));
    snprintf(out, FMT_MAX, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
    return out;
}

char *fmt_bytes(char *out, double n) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int i = 0;
    for (; fabs(n) >= 1024 && i < 5; i++) n /= 1024;
    snprintf(out, FMT_MAX, i && fabs(n) < 99.95 ? "%.1f %s" : "%.0f %s", n, units[i]);
    return out;
}

char *fmt_percent(char *out, double part, double whole) {
    double p = whole > 0 ? 100 * part / whole : 0;
    snprintf(out, FMT_MAX, "%d%%", (int)(p < 0 ? 0 : p > 100 ? 100 : p));
    return out;
}

char *fmt_trend(char *out, double trend) {
    double p = fabs(trend) * 100;
    if (!isfinite(trend)) out[0] = 0;
    else if (p < 0.5) snprintf(out, FMT_MAX, "=");
    else if (p > 999) snprintf(out, FMT_MAX, "%c", trend < 0 ? 'v' : '^');
    else snprintf(out, FMT_MAX, "%c %.0f%%", trend < 0 ? 'v' : '^', p);
    return out;
}
