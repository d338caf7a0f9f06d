/* Charts; see the header. A canvas of dots or cells is filled per series (band first, then the mean line over it), then axis,
 * edge marks and legend are put around it. No state but the sticky range. */
#include "config.h"

#include "ui/draw/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/mem.h"
#include "src/run/series.h"
#include "ui/draw/fmt.h"

const char plot_marks[] = "*o+x#@%&";
enum { LABEL = 7 }; /* columns of the y labels, axis included */

double plot_nice(double span, int ticks) {
    if (!(span > 0) || !isfinite(span) || ticks < 1) return 1;
    double raw = span / ticks, base = pow(10, floor(log10(raw)));
    double m = raw / base;
    return base * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

void plot_smooth(const double *x, double *y, size_t n, double w) {
    struct ema m = EMA_START;
    for (size_t i = 0; i < n; i++) y[i] = ema_next(&m, x[i], w);
}

static double to_axis(double v, bool log) { return !log ? v : v > 0 ? log10(v) : NAN; }

/* The k least of what comes, in order. */
struct least {
    double *v;
    size_t n, k;
};

static void least_add(struct least *l, double v) {
    if (l->n == l->k && !(v < l->v[l->n - 1])) return;
    size_t i = l->n < l->k ? l->n++ : l->n - 1;
    for (; i > 0 && l->v[i - 1] > v; i--) l->v[i] = l->v[i - 1];
    l->v[i] = v;
}

bool plot_limits(const struct plot_series *s, int n, bool log, bool outliers, double *lo, double *hi) {
    size_t cap = 0, m = 0;
    for (int i = 0; i < n; i++) cap += s[i].n;
    size_t most = cap * 2 / 100 + 2;
    double *room = X_NEW(double, 2 * most);
    struct least low = {room, 0, most}, high = {room + most, 0, most}; /* high: negated */
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < s[i].n; j++) {
            const struct bucket *b = &s[i].b[j];
            double z = to_axis(b->max, log), a = to_axis(b->min, log);
            if (!b->count || !isfinite(z)) continue;
            least_add(&low, isfinite(a) ? a : z);
            least_add(&high, -z);
            m++;
        }
    if (m) {
        size_t cut = m < 5 ? 0 : m * 2 / 100 < 1 ? 1 : m * 2 / 100; /* one extreme of few points may be an outlier too */
        double p2 = low.v[cut], p98 = -high.v[cut], far = 3 * (p98 - p2);
        *lo = outliers || p2 - low.v[0] <= far ? low.v[0] : p2;
        *hi = outliers || -high.v[0] - p98 <= far ? -high.v[0] : p98;
    }
    free(room);
    return m > 0;
}

/* The smallest step whose labels differ: they have two digits below 0.1, else three. */
static double label_step(double lo, double hi) {
    double most = fmax(fabs(lo), fabs(hi));
    return most > 0 ? pow(10, floor(log10(most) + 1e-9) - (most < 0.1 ? 1 : 2)) : 0;
}

void plot_range_update(struct plot_range *keep, double lo, double hi, int ticks, bool log, double now) {
    if (!(hi - lo > fabs(hi) * 1e-9)) {
        double pad = fabs(hi) > 0 ? fabs(hi) * 0.5 : 1;
        lo -= pad;
        hi += pad;
    }
    double step = fmax(plot_nice(hi - lo, ticks), log ? 0 : label_step(lo, hi));
    double a = floor(lo / step + 1e-9) * step, b = ceil(hi / step - 1e-9) * step;
    bool fresh = keep->step == 0 || keep->log != log;
    if (fresh || a < keep->lo - 1e-9 * step || b > keep->hi + 1e-9 * step) {
        if (!fresh) { /* only widen */
            if (keep->lo < a) a = floor(keep->lo / step + 1e-9) * step;
            if (keep->hi > b) b = ceil(keep->hi / step - 1e-9) * step;
        }
        *keep = (struct plot_range){a, b, step, log, -1};
    } else if (b - a < 0.7 * (keep->hi - keep->lo)) {
        if (keep->narrow_since < 0) keep->narrow_since = now;
        else if (now - keep->narrow_since >= 10) *keep = (struct plot_range){a, b, step, log, -1};
    } else {
        keep->narrow_since = -1;
    }
}

/* ---- canvas ---- */

struct canvas { /* w x h dots of one chart; a cell is 2^bx x 2^by of them: 2 x 4, 1 x 2 or 1 x 1 */
    int w, h, bx, by, cols;
    struct dots {
        uint8_t line, raw, band; /* which dots are set, as braille numbers them; raw: the means below a smoothed line */
        uint8_t of_line, of_raw, of_band; /* 1 + index of the series */
    } * cell;
};

static const uint8_t dot_bit[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};

static struct dots *cell_at(const struct canvas *c, int x, int y) { return &c->cell[(y >> c->by) * c->cols + (x >> c->bx)]; }
static uint8_t bit_at(const struct canvas *c, int x, int y) { return dot_bit[y & ((1 << c->by) - 1)][x & ((1 << c->bx) - 1)]; }

static void dot_set(struct canvas *c, int x, int y, bool raw, int at) {
    if (x < 0 || y < 0 || x >= c->w || y >= c->h) return;
    struct dots *d = cell_at(c, x, y);
    uint8_t bit = bit_at(c, x, y);
    if (raw) d->raw |= bit, d->of_raw = (uint8_t)(at + 1);
    else d->line |= bit, d->of_line = (uint8_t)(at + 1);
}

static int dot_row(const struct canvas *c, const struct plot_range *r, double v) {
    double f = (r->hi - v) / (r->hi - r->lo) * (c->h - 1);
    return f < -1 ? -1 : f > c->h ? c->h : (int)lround(f);
}

static int clampi(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

static void series_band(struct canvas *c, const struct plot *p, const struct plot_range *r, int at) {
    const struct plot_series *s = &p->s[at];
    for (size_t i = 0; i < s->n && (int)i < c->w && !(s->flags & PLOT_NO_BAND); i++) {
        double lo = to_axis(s->b[i].min, p->log), hi = to_axis(s->b[i].max, p->log);
        if (!s->b[i].count || !isfinite(hi)) continue;
        if (!isfinite(lo)) lo = r->lo;
        int y0 = clampi(dot_row(c, r, hi), 0, c->h - 1), y1 = clampi(dot_row(c, r, lo), 0, c->h - 1);
        for (int y = y0, end; y <= y1 && y1 > y0; y = end) { /* cell by cell */
            struct dots *d = cell_at(c, (int)i, y);
            end = ((y >> c->by) + 1) << c->by;
            for (int yy = y; yy < end && yy <= y1; yy++) d->band |= bit_at(c, (int)i, yy);
            if (!d->of_band) d->of_band = (uint8_t)(at + 1);
        }
    }
}

/* Patterns of the line, so that series are told apart without colour: whole, dashed, dotted, dash-dot ... in dots along x. */
static const uint8_t pattern[PLOT_SERIES] = {0xff, 0x33, 0x55, 0x77, 0x11, 0x5f, 0x0f, 0x35};
enum { GHOST_PATTERN = 0x11 };

static void curve(struct canvas *c, const struct plot *p, const struct plot_range *r, int at, const double *value, bool raw) {
    const struct plot_series *s = &p->s[at];
    unsigned dashes = s->flags & PLOT_GHOST ? GHOST_PATTERN : raw ? 0x55 : pattern[s->ink];
    bool marks = p->set == GLYPHS_LINE || p->set == GLYPHS_ASCII; /* told apart by their marks */
    int last_x = -1, last_y = 0;
    for (size_t i = 0; i < s->n && (int)i < c->w; i++) {
        double v = to_axis(value[i], p->log);
        if (!s->b[i].count || !isfinite(v)) continue;
        int row = clampi(dot_row(c, r, v), 0, c->h - 1);
        for (int k = last_x < 0 ? (int)i : last_x + 1; k <= (int)i; k++) { /* straight to the next point */
            int y = last_x < 0 ? row : last_y + (int)lround((double)(row - last_y) * (k - last_x) / ((int)i - last_x));
            int from = last_x < 0 ? y : k == last_x + 1 ? last_y : last_y + (int)lround((double)(row - last_y) * (k - 1 - last_x) / ((int)i - last_x));
            int step = from < y ? 1 : -1;
            if (from != y) from += step; /* the dots between two columns stand in the later one */
            for (int yy = from;; yy += step) {
                if (marks || (dashes >> (k & 7) & 1) || k == (int)s->n - 1) dot_set(c, k, yy, raw, at);
                if (yy == y) break;
            }
        }
        last_x = (int)i;
        last_y = row;
    }
}

static void series_line(struct canvas *c, const struct plot *p, const struct plot_range *r, int at) {
    const struct plot_series *s = &p->s[at];
    double *x = X_NEW(double, s->n + 1), *y = X_NEW(double, s->n + 1);
    bool smooth = s->line || (p->smooth > 0 && !(s->flags & PLOT_GHOST));
    for (size_t i = 0; i < s->n; i++) x[i] = s->b[i].count ? s->b[i].mean : NAN;
    if (s->line) memcpy(y, s->line, s->n * sizeof *y);
    else if (smooth) plot_smooth(x, y, s->n, p->smooth);
    if (smooth) curve(c, p, r, at, x, true);
    curve(c, p, r, at, smooth ? y : x, false);
    free(x);
    free(y);
}

/* ---- canvas to cells ----
 * The band is sparser than the line, not of another colour: each change of colour costs more bytes than the cell. A cell that
 * it crosses from top to bottom is a colon, one byte and not three: the band may fill most of the screen. */

static struct style series_style(const struct plot_series *s) {
    return s->flags & PLOT_GHOST ? (struct style){INK_DIM, 0} : (struct style){(uint8_t)(INK_SERIES + s->ink), 0};
}

static struct style raw_style(const struct plot *p, int series) { return (struct style){(uint8_t)(INK_SERIES + p->s[series - 1].ink), AT_DIM}; }

static uint32_t series_mark(const struct plot_series *s, enum glyphs set) {
    return s->flags & PLOT_GHOST ? (uint32_t)'-' : set == GLYPHS_LINE && !s->ink ? 0x2022 : (uint32_t)plot_marks[s->ink];
}

static void cell_braille(struct grid *g, int row, int col, const struct plot *p, const struct dots *d) {
    if (d->line) grid_put(g, row, col, series_style(&p->s[d->of_line - 1]), 0x2800u + d->line);
    else if (d->raw) grid_put(g, row, col, raw_style(p, d->of_raw), 0x2800u + d->raw);
    else if ((d->band & 0x47) == 0x47 || (d->band & 0xb8) == 0xb8) grid_put(g, row, col, series_style(&p->s[d->of_band - 1]), ':');
    else if (d->band & 0xaa) grid_put(g, row, col, series_style(&p->s[d->of_band - 1]), 0x2800u + (d->band & 0xaa)); /* every other dot: not a line */
}

static void cell_half(struct grid *g, int row, int col, const struct plot *p, const struct dots *d) {
    if (d->line) grid_put(g, row, col, series_style(&p->s[d->of_line - 1]), d->line == 3 ? 0x2588 : d->line == 1 ? 0x2580 : 0x2584);
    else if (d->raw) grid_put(g, row, col, raw_style(p, d->of_raw), d->raw == 3 ? 0x2593 : 0x2592);
    else if (d->band) grid_put(g, row, col, series_style(&p->s[d->of_band - 1]), d->band == 3 ? ':' : d->band == 1 ? '\'' : '.');
}

static void cell_plain(struct grid *g, int row, int col, const struct plot *p, const struct dots *d) {
    if (d->line) grid_put(g, row, col, series_style(&p->s[d->of_line - 1]), series_mark(&p->s[d->of_line - 1], p->set));
    else if (d->raw) grid_put(g, row, col, raw_style(p, d->of_raw), ':');
    else if (d->band) grid_put(g, row, col, series_style(&p->s[d->of_band - 1]), p->set == GLYPHS_LINE ? 0xb7 : '.');
}

static void axis_label(const struct plot_range *r, double v, char *out) {
    double x = r->log ? pow(10, v) : fabs(v) < r->step * 1e-6 ? 0 : v;
    fmt_short(out, x);
    int digits = !r->log && r->step < 1 ? (int)ceil(-log10(r->step) - 1e-9) : -1; /* as many as the step needs */
    if (digits > 3 && x != 0 && fabs(x) < 0.1) fmt_exponent(out, x);
    else if (digits > 0 && digits <= 4 && fabs(x) < 10) snprintf(out, FMT_MAX, "%.*f", digits, x);
}

/* -1: before the axis begins. */
static int mark_column(const struct plot *p, int i) {
    if (p->x.kind != PLOT_STEP) {
        double at = floor((p->marks[i].x - p->x.x0) / (p->x.dx * p->x.sub));
        return at >= 0 && at < PLOT_COLS ? (int)at : -1;
    }
    int64_t at = p->marks[i].step - p->x.from;
    return at < 0 ? -1 : (int)((at >> p->x.k) / p->x.sub);
}

/* What stands below column x: 1.6k, ep 2.5, 12:30 (of training), 14:05:09. */
static void x_label(const struct plot *p, int x, char *out) {
    double at = p->x.x0 + (double)x * p->x.sub * p->x.dx;
    time_t when = (time_t)at;
    struct tm tm;
    if (p->x.kind == PLOT_STEP) {
        fmt_short(out, (double)p->x.from + (double)x * p->x.sub * (double)((int64_t)1 << p->x.k));
    } else if (p->x.kind == PLOT_EPOCH) {
        char num[FMT_MAX];
        snprintf(out, FMT_MAX, "%s%.30s", x == 0 ? "ep " : "", fmt_short(num, at));
    } else if (p->x.kind == PLOT_TIME) {
        if (at < 60) snprintf(out, FMT_MAX, "%.*fs", p->x.dx < 0.1 && at > 0 ? 1 : 0, at);
        else fmt_clock(out, at);
    } else if (localtime_r(&when, &tm)) {
        strftime(out, FMT_MAX, p->x.dx * p->x.sub * 24 < 86400 ? "%H:%M:%S" : "%d %b %H:%M", &tm);
    }
}

static void draw_axis(struct grid *g, const struct plot *p, const struct plot_range *r, struct rect d) {
    struct style dim = {INK_TEXT, 0}, line = {(uint8_t)(p->n ? INK_SERIES + p->s[0].ink : INK_TEXT), 0}; /* as the curve: a change of colour less in each row */
    bool asc = p->set == GLYPHS_ASCII;
    for (int y = 0; y < d.rows; y++) grid_put(g, d.row + y, d.col - 1, line, asc ? '|' : 0x2502);
    int last = -9;
    for (double v = r->hi; v >= r->lo - r->step * 0.01 && r->step > 0; v -= r->step) {
        int y = (int)lround((r->hi - v) / (r->hi - r->lo) * (d.rows - 1));
        char label[FMT_MAX];
        if (y - last < 2 && y != d.rows - 1) continue;
        if (y == d.rows - 1 && y - last < 1) continue;
        last = y;
        axis_label(r, v, label);
        grid_right(g, d.row + y, strlen(label) > LABEL - 2 ? d.col - 1 : d.col - 2, LABEL - 1, dim, label);
        grid_put(g, d.row + y, d.col - 1, line, asc ? '+' : 0x2524);
    }
    int every = 24;
    for (int x = 0; x < d.cols - 3; x += every) {
        char label[FMT_MAX] = "";
        x_label(p, x, label);
        bool hit = false; /* an edit's mark stands there */
        for (int i = 0; i < p->n_marks; i++) {
            int at = mark_column(p, i);
            hit = hit || (at >= x - 1 && at <= x + (int)strlen(label));
        }
        if (!hit && x + (int)strlen(label) <= d.cols) grid_text(g, d.row + d.rows, d.col + x, d.cols - x, dim, label);
    }
}

/* Non-finite: x on the top edge. Beyond the range: ^ and v at the edges. On a log axis zeros and negatives: _ at the bottom. */
static void draw_edges(struct grid *g, const struct plot *p, const struct plot_range *r, struct rect d) {
    double lo = r->log ? pow(10, r->lo) : r->lo, hi = r->log ? pow(10, r->hi) : r->hi, slack = (hi - lo) * 1e-6;
    for (int i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->s[i].n; j++) {
            const struct bucket *b = &p->s[i].b[j];
            int col = d.col + (int)j / p->x.sub;
            struct style s = series_style(&p->s[i]);
            s.at = AT_BOLD;
            if (p->s[i].flags & PLOT_GHOST) continue;
            if ((int)j / p->x.sub >= d.cols) break;
            if (b->count && b->max > hi + slack) grid_put(g, d.row, col, s, '^');
            if (b->count && b->min < lo - slack && !(p->log && b->min <= 0)) grid_put(g, d.row + d.rows - 1, col, s, 'v');
            if (b->count && p->log && b->min <= 0) grid_put(g, d.row + d.rows - 1, col, s, '_');
            if (b->bad) grid_put(g, d.row, col, (struct style){INK_BAD, AT_BOLD}, 'x');
        }
}

static void draw_legend(struct grid *g, const struct plot *p, int row, int col, int cols) {
    int x = col;
    for (int i = 0; i < p->n && x < col + cols - 4; i++) {
        int64_t bad = 0, low = 0;
        for (size_t j = 0; j < p->s[i].n; j++) {
            bad += p->s[i].b[j].bad;
            if (p->log) low += p->s[i].b[j].low;
        }
        grid_put(g, row, x, series_style(&p->s[i]), series_mark(&p->s[i], p->set));
        x += 2 + grid_text(g, row, x + 2, col + cols - x - 2, (struct style){INK_TEXT, 0}, p->s[i].name);
        if (bad) x += grid_textf(g, row, x, col + cols - x, (struct style){INK_BAD, 0}, " x%lld", (long long)bad);
        if (low) x += grid_textf(g, row, x, col + cols - x, (struct style){INK_WARN, 0}, " <=0:%lld", (long long)low);
        x += 2;
    }
    if (p->n_marks && (!p->title || cols >= 70) && x < col + cols - 6) {
        const struct plot_mark *m = &p->marks[p->n_marks - 1];
        x += grid_textf(g, row, x, col + cols - x, (struct style){INK_WARN, 0}, "v %s", m->text);
        x += 2;
    }
    char note[64] = "";
    if (p->smooth > 0) snprintf(note, sizeof note, "ema %g", p->smooth);
    if (p->log) strcat(note, note[0] ? " log" : "log");
    if (p->outliers) strcat(note, note[0] ? " all" : "all");
    int len = (int)strlen(note);
    if (len && x + len + 1 <= col + cols) grid_text(g, row, col + cols - len, len, (struct style){INK_DIM, 0}, note);
}

int plot_columns(const struct plot *p) { return clampi(p->area.cols - LABEL, 1, PLOT_COLS / 2); }

struct rect plot_data(const struct plot *p) {
    struct rect a = p->area;
    int top = p->title ? 1 : 0;
    return (struct rect){a.row + top, a.col + LABEL, a.rows - top - 1 - (a.rows >= 5 ? 1 : 0), plot_columns(p)};
}

static void canvas_draw(struct grid *g, const struct plot *p, const struct plot_range *r, struct rect d) {
    int bx = p->set == GLYPHS_BRAILLE, by = p->set == GLYPHS_BRAILLE ? 2 : p->set == GLYPHS_HALF;
    struct canvas c = {d.cols << bx, d.rows << by, bx, by, d.cols, NULL};
    c.cell = X_NEW(struct dots, (size_t)d.cols * (size_t)d.rows);
    for (int i = p->n; i-- > 0;) series_band(&c, p, r, i);
    for (int i = p->n; i-- > 0;) series_line(&c, p, r, i); /* the first on top */
    for (int y = 0; y < d.rows; y++)
        for (int x = 0; x < d.cols; x++) {
            const struct dots *at = &c.cell[y * d.cols + x];
            if (!at->line && !at->raw && !at->band) continue;
            if (p->set == GLYPHS_BRAILLE) cell_braille(g, d.row + y, d.col + x, p, at);
            else if (p->set == GLYPHS_HALF) cell_half(g, d.row + y, d.col + x, p, at);
            else cell_plain(g, d.row + y, d.col + x, p, at);
        }
    free(c.cell);
}

void plot_draw(struct grid *g, const struct plot *p, struct plot_range *keep, double now) {
    struct rect a = p->area, d = plot_data(p);
    if (d.rows < 2 || a.cols < LABEL + 4) return;
    if (p->title) grid_text(g, a.row, a.col + 1, a.cols - 1, (struct style){INK_TITLE, p->title[0] == ' ' ? 0 : AT_BOLD}, p->title);
    double lo = 0, hi = 1;
    if (plot_limits(p->s, p->n, p->log, p->outliers, &lo, &hi))
        plot_range_update(keep, lo, hi, d.rows / 2 > 6 ? d.rows / 3 : d.rows / 2 > 1 ? d.rows / 2 : 1, p->log, now);
    struct plot_range r = *keep;
    if (r.step == 0 || r.log != p->log) r = (struct plot_range){0, 1, 0.5, false, -1};
    draw_axis(g, p, &r, d);
    canvas_draw(g, p, &r, d);
    draw_edges(g, p, &r, d);
    for (int i = 0; i < p->n_marks; i++) { /* edits and notes stand on the axis */
        int x = mark_column(p, i);
        if (x >= 0 && x < d.cols) grid_put(g, d.row + d.rows, d.col + x, (struct style){INK_WARN, AT_BOLD}, 'v');
    }
    if (p->cursor >= 0 && p->cursor < d.cols)
        for (int y = 0; y < d.rows; y++) grid_style(g, d.row + y, d.col + p->cursor, 1, (struct style){INK_TEXT, AT_REVERSE});
    if (a.rows >= 5) draw_legend(g, p, a.row + a.rows - 1, d.col, d.cols);
}

const char *const plot_axis_names[] = {"step", "epoch", "time", "clock", NULL};
