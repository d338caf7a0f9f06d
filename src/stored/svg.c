/* Charts of the report as SVG: drawn by the same buckets as the dashboard's, one point a bucket, nothing between them but a line. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/stored/html.h"

enum { W = 480, H = 190, LEFT = 58, RIGHT = 12, TOP = 12, BOTTOM = 26, POINTS = 256, SERIES = 4 };

struct axis {
    double lo, hi, step; /* step: between ticks, 1, 2 or 5 times a power of ten */
};

static struct axis nice(double lo, double hi, int ticks) {
    if (!(hi > lo)) hi = lo + (lo == 0 ? 1 : fabs(lo) * 0.1), lo -= hi - lo;
    double raw = (hi - lo) / ticks, p = pow(10, floor(log10(raw))), m = raw / p;
    double step = (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * p;
    return (struct axis){floor(lo / step) * step, ceil(hi / step) * step, step};
}

static double place_x(const struct axis *a, double v) { return LEFT + (v - a->lo) / (a->hi - a->lo) * (W - LEFT - RIGHT); }
static double place_y(const struct axis *a, double v) { return H - BOTTOM - (v - a->lo) / (a->hi - a->lo) * (H - TOP - BOTTOM); }

/* A tick of the y axis, in the 50 units left of the axis: 12500, not 1.25e+04, and 2.5e-5, not 2.5e-05. */
static void tick_text(struct buf *b, double v) {
    char t[32];
    snprintf(t, sizeof t, fabs(v) >= 1e4 && fabs(v) < 1e6 ? "%.6g" : "%.4g", v);
    char *mark = strchr(t, 'e'), *from = mark;
    if (!mark) {
        buf_adds(b, t);
        return;
    }
    from += 1 + (from[1] == '+' || from[1] == '-');
    while (*from == '0') from++;
    buf_addf(b, "%.*s%s%s", (int)(mark - t) + 1, t, mark[1] == '-' ? "-" : "", from);
}

static void ticks(struct buf *b, const struct axis *x, const struct axis *y) {
    for (int i = 0; i <= 40 && y->lo + i * y->step <= y->hi * (1 + 1e-9) + 1e-300; i++) {
        double v = y->lo + i * y->step, py = place_y(y, v);
        if (fabs(v) < y->step * 1e-6) v = 0;
        buf_addf(b, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT, py, W - RIGHT, py,
            LEFT - 5, py + 4);
        tick_text(b, v);
        buf_adds(b, "</text>\n");
    }
    for (int i = 0; i <= 40 && x->lo + i * x->step <= x->hi + 1e-9; i++) {
        double v = x->lo + i * x->step;
        buf_addf(b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n", place_x(x, v), H - 8, v);
    }
}

static double middle(const struct bucket *v, int k) { return (double)v->step0 + ((double)((int64_t)1 << k) - 1) / 2; }

static void curve(struct buf *b, const struct bucket *v, size_t n, int k, int nth, const struct axis *x, const struct axis *y) {
    size_t drawn = 0;
    buf_addf(b, "<polygon class=\"band c%d\" points=\"", nth);
    for (size_t i = 0; i < n; i++)
        if (v[i].count) buf_addf(b, "%.1f,%.1f ", place_x(x, middle(&v[i], k)), place_y(y, v[i].max));
    for (size_t i = n; i-- > 0;)
        if (v[i].count) buf_addf(b, "%.1f,%.1f ", place_x(x, middle(&v[i], k)), place_y(y, v[i].min));
    buf_addf(b, "\"/>\n<polyline class=\"line c%d\" points=\"", nth);
    for (size_t i = 0; i < n; i++)
        if (v[i].count) buf_addf(b, "%.1f,%.1f ", place_x(x, middle(&v[i], k)), place_y(y, v[i].mean)), drawn++;
    buf_adds(b, "\"/>\n");
    for (size_t i = 0; i < n && drawn <= 40; i++) /* few points are shown one by one */
        if (v[i].count)
            buf_addf(b, "<circle class=\"dot c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n", nth, place_x(x, middle(&v[i], k)), place_y(y, v[i].mean));
    for (size_t i = 0; i < n; i++)
        if (v[i].bad) buf_addf(b, "<text class=\"bad\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">x</text>\n", place_x(x, middle(&v[i], k)), TOP + 4);
}

static void legend(struct buf *b, struct series *const *series, int n) {
    buf_adds(b, "<p class=\"legend\">");
    for (int i = 0; i < n; i++) {
        struct series_ends e;
        series_ends(series[i], &e);
        buf_addf(b, "<span class=\"key c%d\"></span>", i);
        html_text(b, series_name(series[i]));
        buf_adds(b, " ");
        html_num(b, e.value);
        if (e.count) {
            buf_adds(b, " <small>(lowest ");
            html_num(b, e.lo);
            buf_addf(b, " at step %lld, highest ", (long long)e.lo_step);
            html_num(b, e.hi);
            buf_addf(b, " at step %lld", (long long)e.hi_step);
            if (e.bad) buf_addf(b, ", %lld not finite", (long long)e.bad);
            buf_adds(b, ")</small>");
        }
        buf_adds(b, " ");
    }
    buf_adds(b, "</p>\n");
}

void svg_chart(struct buf *b, const char *title, struct series *const *series, int n, const struct mark *mark, size_t n_mark) {
    struct bucket *v = X_NEW(struct bucket, SERIES * POINTS);
    size_t got[SERIES] = {0};
    int k[SERIES] = {0};
    double lo = INFINITY, hi = -INFINITY, last = 1;
    if (n > SERIES) n = SERIES;
    for (int s = 0; s < n; s++) {
        got[s] = series_read(series[s], v + s * POINTS, POINTS, &k[s]);
        for (size_t i = 0; i < got[s]; i++) {
            const struct bucket *p = &v[(size_t)s * POINTS + i];
            if (p->count && p->min < lo) lo = p->min;
            if (p->count && p->max > hi) hi = p->max;
            if ((p->count || p->bad) && middle(p, k[s]) > last) last = middle(p, k[s]);
        }
    }
    if (!(hi >= lo)) lo = 0, hi = 1;
    struct axis x = nice(0, last, 6), y = nice(lo, hi, 4);
    x.hi = last;
    buf_adds(b, "<figure><figcaption>");
    html_text(b, title);
    buf_addf(b, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", W, H);
    html_text(b, title);
    buf_adds(b, " over steps\">\n");
    ticks(b, &x, &y);
    for (int s = 0; s < n; s++) curve(b, v + s * POINTS, got[s], k[s], s, &x, &y);
    for (size_t i = 0; i < n_mark; i++) {
        if ((double)mark[i].step > x.hi) continue;
        double px = place_x(&x, (double)mark[i].step);
        buf_addf(b, "<line class=\"mark\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"><title>step %lld: ", px, TOP, px, H - BOTTOM, (long long)mark[i].step);
        html_text(b, mark[i].text);
        buf_adds(b, "</title></line>\n");
    }
    buf_adds(b, "</svg>\n");
    legend(b, series, n);
    buf_adds(b, "</figure>\n");
    free(v);
}
