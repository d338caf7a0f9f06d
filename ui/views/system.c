/* System: what this machine and this process do (read from /proc once a second while the screen is shown), what computes here, what the GPUs do (read on a
 * thread of the engine), and where a run's time goes. UI thread. */
#include "config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/err.h"
#include "ui/draw/bars.h"
#include "ui/draw/fmt.h"
#include "ui/machine.h"
#include "ui/rows.h"

struct system_state {
    struct machine_reading before, now;
    double read_t; /* when it was read, on the dashboard's clock; 0: never */
    struct val *facts; /* what the command machine says, or NULL */
    bool asked;
    struct val *gpus; /* what the command gpus says, or NULL */
    double gpus_t; /* when it was asked */
    struct val *time, *memory; /* reports of the run */
    uint64_t time_seen, memory_seen;
    struct run *run;
    int top; /* first row of cores shown */
};

/* The part of a core's time between the two readings that a counter (busy, wait) took; core 0: all of them; NAN: not known. */
static double share(const struct system_state *s, const uint64_t *now, const uint64_t *before, int core) {
    if (!(s->before.t > 0) || s->now.all[core] <= s->before.all[core]) return NAN;
    return (double)(now[core] - before[core]) / (double)(s->now.all[core] - s->before.all[core]);
}

static void percent(char *out, size_t size, double v) {
    if (isnan(v)) snprintf(out, size, "-");
    else snprintf(out, size, "%.0f%%", 100 * v);
}

/* ---- cores ---- */

static int cores_draw(struct ui *u, struct grid *g, struct rect r) {
    const struct system_state *s = u->state[SCR_SYSTEM];
    int per = r.cols < 60 ? 1 : r.cols >= 120 || s->now.n > 8 ? 4 : 2;
    int w = r.cols / per, rows = (s->now.n + per - 1) / per, top = s->top < rows ? s->top : 0;
    char t[16];
    for (int y = 0; y < r.rows && top + y < rows; y++)
        for (int k = 0; k < per && (top + y) * per + k < s->now.n; k++) {
            int core = (top + y) * per + k + 1, x = r.col + k * w;
            double v = share(s, s->now.busy, s->before.busy, core);
            percent(t, sizeof t, v);
            grid_textf(g, r.row + y, x, 4, (struct style){INK_DIM, 0}, "%d", core - 1);
            grid_right(g, r.row + y, x + 9, 5, (struct style){INK_TEXT, 0}, t);
            if (!isnan(v)) draw_share(g, r.row + y, x + 10, w - 12, v, u->glyphs, (struct style){INK_SERIES, 0});
        }
    int hidden = s->now.n - r.rows * per;
    if (hidden > 0) grid_textf(g, 1, g->cols - 34, 33, (struct style){INK_TEXT, 0}, " +%d cores hidden, arrows move ", hidden);
    return rows < r.rows ? rows : r.rows;
}

/* ---- lines of facts ---- */

static void fact(struct grid *g, int row, int col, int cols, const char *name, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
static void fact(struct grid *g, int row, int col, int cols, const char *name, const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    grid_text(g, row, col, 9, (struct style){INK_DIM, 0}, name);
    grid_text(g, row, col + 10, cols - 10, (struct style){INK_TEXT, 0}, text);
}

static int machine_facts(struct ui *u, struct grid *g, int row, int col, int cols) {
    const struct system_state *s = u->state[SCR_SYSTEM];
    const struct machine_reading *m = &s->now;
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], use[16], wait[16], moves[3 * FMT_MAX];
    double dt = m->t - s->before.t;
    long tick = sysconf(_SC_CLK_TCK);
    double own = s->before.t > 0 && dt > 0 && tick > 0 ? (double)(m->own - s->before.own) / (double)tick / dt : NAN;
    percent(use, sizeof use, share(s, m->busy, s->before.busy, 0));
    percent(wait, sizeof wait, share(s, m->wait, s->before.wait, 0));
    fact(g, row++, col, cols, "cpu", "%d cores %s busy, load %.2f, I/O wait %s", m->n, use, m->load, wait);
    fact(g, row++, col, cols, "process", "%.2f of %d cores, %d threads", isnan(own) ? 0 : own, m->n, m->threads);
    fact(g, row++, col, cols, "memory", "%s, at most %s; %s of %s free", fmt_bytes(a, m->rss), fmt_bytes(b, m->peak), fmt_bytes(c, m->available),
        fmt_bytes((char[FMT_MAX]){0}, m->total));
    double rd = s->before.t > 0 && dt > 0 ? (m->read - s->before.read) / dt : 0, wr = s->before.t > 0 && dt > 0 ? (m->written - s->before.written) / dt : 0;
    bool apart = cols < 70;
    snprintf(moves, sizeof moves, "reads %s/s, writes %s/s", fmt_bytes(c, rd), fmt_bytes(a, wr));
    fact(g, row++, col, cols, "disk", "%s of %s free%s%s", m->disk_free < 0 ? "?" : fmt_bytes(a, m->disk_free), fmt_bytes(b, m->disk_total), apart ? "" : "; ",
        apart ? "" : moves);
    if (apart) fact(g, row++, col, cols, "", "%s", moves);
    return row;
}

/* Text that may be long, in up to two rows. */
static int fact_long(struct grid *g, int row, int col, int cols, const char *name, const char *text) {
    grid_text(g, row, col, 9, (struct style){INK_DIM, 0}, name);
    return row + grid_wrap(g, (struct rect){row, col + 10, 2, cols - 10}, (struct style){INK_TEXT, 0}, text);
}

static int engine_facts(struct ui *u, struct grid *g, int row, int col, int cols) {
    const struct system_state *s = u->state[SCR_SYSTEM];
    const struct val *f = s->facts;
    char a[FMT_MAX], text[600];
    if (!f) {
        fact(g, row++, col, cols, "engine", s->asked ? "busy: it has not said yet" : "not there");
        return row;
    }
    const char *blas = val_get_str(f, "blas", ""), *base = strrchr(blas, '/'), *core = val_get_str(f, "core", "");
    snprintf(text, sizeof text, "%s, pool of %lld threads; products by %s%s%s%s", val_get_str(f, "kernels", "?"),
        (long long)val_get_int(u->start, "threads", val_get_int(f, "threads", 0)), *blas ? (base ? base + 1 : blas) : "the plain kernel", *core ? " (" : "",
        core, *core ? ")" : "");
    row = fact_long(g, row, col, cols, "kernels", text);
    snprintf(text, sizeof text, "%s%s", val_get_bool(f, "gpu_there", false) ? "" : "no GPU: ", val_get_str(f, "gpu", "?"));
    row = fact_long(g, row, col, cols, "gpu", text);
    if (val_get(s->memory, "total"))
        fact(g, row++, col, cols, "this run", "%s of weights, gradients and values, on %s", fmt_bytes(a, val_get_num(s->memory, "total", 0)),
            val_get_str(u->start, "device", "cpu"));
    return row;
}

/* ---- GPUs ---- */

/* "87% busy, 12.0/80.0 GiB, 61 C, 412/700 W, 1980 MHz", of what the device tells; what slows it down. */
static void gpu_words(const struct val *v, struct buf *b) {
    static const struct {
        const char *field, *of, *unit;
        int digits;
    } told[] = {{"use_percent", NULL, "% busy", 0}, {"memory_used_gib", "memory_gib", " GiB", 1}, {"celsius", NULL, " C", 0}, {"watts", "watts_limit", " W", 0},
        {"mhz", NULL, " MHz", 0}, {"memory_mhz", NULL, " MHz memory", 0}};
    bool first = true;
    buf_addf(b, "%.24s", val_get_str(v, "error", val_get_str(v, "name", "?")));
    for (size_t i = 0; i < LEN(told); i++) {
        if (!val_get(v, told[i].field)) continue;
        buf_addf(b, "%s%.*f", first ? ": " : ", ", told[i].digits, val_get_num(v, told[i].field, 0));
        first = false;
        if (told[i].of && val_get(v, told[i].of)) buf_addf(b, "/%.*f", told[i].digits, val_get_num(v, told[i].of, 0));
        buf_adds(b, told[i].unit);
    }
    if (*val_get_str(v, "slowed_by", "")) buf_addf(b, "; slowed by %s", val_get_str(v, "slowed_by", ""));
    if (val_get_int(v, "ecc_errors", 0) > 0) buf_addf(b, "; %lld memory errors", (long long)val_get_int(v, "ecc_errors", 0));
}

/* At most `rows` rows; what does not fit is counted. */
static int gpu_facts(struct ui *u, struct grid *g, int row, int col, int cols, int rows) {
    const struct system_state *s = u->state[SCR_SYSTEM];
    const struct val *list = val_get(s->gpus, "gpus");
    int end = row + rows, n = (int)val_len(list);
    for (int i = 0; i < n; i++) {
        struct buf b = BUF_INIT;
        char name[16];
        bool stale = val_get_bool(s->gpus, "stale", false);
        snprintf(name, sizeof name, "gpu %d", (int)val_get_int(val_at(list, (size_t)i), "index", i));
        if (stale) buf_addf(&b, "[%.0f s old] ", val_get_num(s->gpus, "age", 0));
        gpu_words(val_at(list, (size_t)i), &b);
        bool two = (int)b.len > cols - 10;
        if (row + 1 + two > end || (i + 1 < n && row + 1 + two >= end)) {
            fact(g, row++, col, cols, "", "+%d more: hone.gpus{}", n - i);
            buf_release(&b);
            return row;
        }
        row = fact_long(g, row, col, cols, name, b.data);
        buf_release(&b);
    }
    return row;
}

/* ---- where the time goes ---- */

static void phases_draw(struct ui *u, struct grid *g, struct rect r) {
    static const char *const names[] = {"data", "forward", "backward", "update", "ranks", "eval", "checkpoint"};
    enum { STEP = 5 }; /* of these are part of a step */
    const struct system_state *s = u->state[SCR_SYSTEM];
    struct style plain = {INK_TEXT, 0};
    char t[16], ms[FMT_MAX];
    if (r.rows < 2) return;
    double steps = val_get_num(s->time, "steps", 0), step = val_get_num(s->time, "step", 0), sum = 0, all, known = 0;
    for (size_t i = 0; i < LEN(names); i++) sum += val_get_num(s->time, names[i], 0);
    for (size_t i = 0; i < STEP; i++) known += val_get_num(s->time, names[i], 0);
    double other = step > known ? step - known : 0;
    all = sum + other;
    grid_text(g, r.row, r.col, r.cols, (struct style){INK_TITLE, AT_BOLD}, "where the time of this run goes");
    if (!s->time || !(all > 0)) {
        grid_text(g, r.row + 1, r.col, r.cols, plain, u->run ? "no step was run yet" : "no run yet");
        return;
    }
    int row = r.row;
    for (size_t i = 0; i <= LEN(names) && row + 1 < r.row + r.rows; i++) {
        if (i < LEN(names) && !val_get(s->time, names[i])) continue; /* a run alone has no ranks */
        double v = i < LEN(names) ? val_get_num(s->time, names[i], 0) : other;
        row++;
        percent(t, sizeof t, v / all);
        grid_text(g, row, r.col, 11, plain, i < LEN(names) ? names[i] : "other");
        grid_right(g, row, r.col + 16, 5, plain, t);
        bool per_step = i < STEP || i == LEN(names);
        snprintf(ms, sizeof ms, per_step && steps > 0 ? "%.2f ms a step" : "%.2f s", per_step && steps > 0 ? 1e3 * v / steps : v);
        grid_right(g, row, r.col + 33, 16, plain, ms);
        draw_share(g, row, r.col + 35, r.cols - 36, v / all, u->glyphs, (struct style){(uint8_t)(INK_SERIES + (int)i), 0});
    }
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    int half = r.cols / 2;
    bool two = r.cols >= 132;
    int a = machine_facts(u, g, r.row, 1, two ? half - 2 : r.cols - 2);
    int b = engine_facts(u, g, two ? r.row : a, two ? half + 1 : 1, two ? r.cols - half - 2 : r.cols - 2), row = a > b ? a : b;
    row = gpu_facts(u, g, row, 1, r.cols - 2, r.rows / 4);
    int left = r.row + r.rows - row, phases = left >= 12 ? 8 : 0;
    if (left < 2) return;
    int used = cores_draw(u, g, (struct rect){row + 1, 1, left - 1 - (phases ? phases + 1 : 0), r.cols - 2});
    row += 1 + used + 1;
    if (phases) phases_draw(u, g, (struct rect){row, 1, r.row + r.rows - row, r.cols - 2});
    else grid_textf(g, 1, 2, 40, (struct style){INK_TEXT, 0}, " +1 hidden: time by phase, 30 rows show it ");
}

/* ---- reading ---- */

static void told(struct ui *u, void *ctx, const struct call *c) {
    struct val **to = ctx;
    (void)u;
    if (c->status != 0 || !c->result) return;
    val_free(*to);
    *to = val_copy(c->result);
}

static void refresh(struct ui *u) {
    struct system_state *s = u->state[SCR_SYSTEM];
    double now = u->clock();
    if (s->read_t == 0 || now - s->read_t >= 0.95 || now < s->read_t) {
        s->before = s->now;
        u->machine(&s->now, "/proc", runs_dir(u->runs));
        if (now - s->read_t > 60) s->before.t = 0; /* a gap: rates over it mean nothing */
        s->read_t = now;
    }
    if (!s->asked && hub_find(u->hub, "machine")) s->asked = ui_ask(u, "machine", NULL, told, &s->facts) == 0;
    if (hub_find(u->hub, "gpus") && (s->gpus_t == 0 || now - s->gpus_t >= 1.95 || now < s->gpus_t) && ui_ask(u, "gpus", NULL, told, &s->gpus) == 0)
        s->gpus_t = now; /* what its thread has read last */
    if (s->run != u->run) {
        s->run = u->run;
        s->time_seen = s->memory_seen = 0;
        val_free(s->time);
        val_free(s->memory);
        s->time = s->memory = NULL;
    }
    if (!u->run) return;
    ui_report(u->run, "time", &s->time, &s->time_seen);
    ui_report(u->run, "memory", &s->memory, &s->memory_seen);
}

static void release(struct ui *u) {
    struct system_state *s = u->state[SCR_SYSTEM];
    val_free(s->facts);
    val_free(s->gpus);
    val_free(s->time);
    val_free(s->memory);
}

static void move(struct ui *u, enum move m) {
    struct system_state *s = u->state[SCR_SYSTEM];
    s->top += m == MOVE_UP ? -1 : m == MOVE_DOWN ? 1 : m == MOVE_PGUP ? -8 : m == MOVE_PGDN ? 8 : m == MOVE_HOME ? -s->top : 0;
    if (s->top < 0) s->top = 0;
    if (s->top > s->now.n) s->top = s->now.n;
}

const struct view view_system = {.name = "system",
    .title = "System",
    .draw = draw,
    .move = move,
    .every = 1,
    .footer = " ?help :cmd  arrows cores  p %s  s stop..  1 overview  7 model  q detach",
    .state_size = sizeof(struct system_state),
    .refresh = refresh,
    .release = release};
