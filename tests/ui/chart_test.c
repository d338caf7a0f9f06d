/* Charts of a dashboard over a record: what they hold at which size, windows, x axes, smoothing, reading a point, ghosts, seeds, grid, filter, pins. */
#include "config.h"

#include <stdlib.h>

#include "src/base/thread.h"
#include "src/run/series.h"
#include "tests/tap.h"
#include "tests/ui/fixture.h"
#include "ui/draw/heat.h"

static struct buf text, frame;

static const char *shown(struct fx *f, const char *keys) {
    for (const char *k = keys; *k; k++) {
        char one[2] = {*k, 0};
        fx_keys(f, one);
    }
    fx_time += 0.1; /* a lone Esc */
    fx_frame(f, &frame);
    buf_clear(&frame);
    buf_clear(&text);
    ui_port(f->u)->last_screen(f->u, &text);
    return text.data;
}

static bool has(const char *screen, const char *what) {
    if (strstr(screen, what)) return true;
    printf("# no \"%s\" in:\n", what);
    tap_note(screen);
    return false;
}

static int row_of(const char *screen, const char *what) {
    int row = 0;
    const char *at = strstr(screen, what);
    for (const char *p = screen; at && p < at; p++) row += *p == '\n';
    return at ? row : -1;
}

static bool command(struct fx *f, const char *line, struct err *e) {
    struct call *c = call_parse(f->hub, line, BY_USER, e);
    struct queue q;
    if (!c) return false;
    queue_init(&q, 1);
    call_submit(c, &q, NULL, e);
    hub_serve(f->hub, OWNER_UI, 0);
    c = queue_get(&q, 100);
    bool ok = c && c->status == 0;
    if (c && !ok) *e = c->err;
    call_free(c);
    queue_release(&q);
    fx_frame(f, &frame);
    return ok;
}

/* One spike among ten million steps, in the Overview's chart at 80x24 and with its step by reading the point. */
static void spike(void) {
    struct fx f;
    static const char *const names[] = {"loss"};
    fx_open(&f, 0, 0);
    for (int64_t i = 0; i < 10000000; i++) {
        double v = i == 7654321 ? 1000.0 : 1 + 0.01 * (double)(i % 7);
        run_metrics(f.r, i, 0, names, &v, 1);
    }
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    const char *s = shown(&f, "1");
    const struct grid *g = &f.u->next;
    int marks = 0, at = -1;
    for (int x = 35; x < 80; x++)
        if (strcmp(g->cell[3 * g->cols + x].text, "^") == 0) marks++, at = x - 35;
    tap_ok(marks == 1 && f.u->main_range.hi < 2, "t.C1: one spike in 10,000,000 steps at 80x24: one mark on the top edge, the scale is that of the others");
    fx_keys(&f, "z");
    fx_frame(&f, &frame);
    s = shown(&f, "");
    at = -1;
    for (int x = 7; x < 80; x++)
        for (int y = 3; y < 5; y++)
            if (strcmp(f.u->next.cell[y * 80 + x].text, "^") == 0) at = x - 7;
    f.u->cursor = at;
    f.u->dirty = true;
    s = shown(&f, "");
    tap_ok(has(s, "1000 at 7,654,321"), "and the point that is read names the step that logged it");
    fx_close(&f);
}

static void windows(void) {
    struct fx f;
    struct err e = {0};
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "2");
    shown(&f, "z");
    tap_ok(has(shown(&f, ""), " 0                       "), "the default x axis is the whole run");
    shown(&f, "i");
    int64_t from = f.u->look.from, span = f.u->look.span;
    tap_ok(span == 32768 && from + span > 59999 && from <= 59999, "i: the last half of it (%lld steps from %lld)", (long long)span, (long long)from);
    bool steady = true, moved = false;
    for (int64_t step = 60000; step < from + span + 10; step++) fx_step(f.r, step, 100000);
    fx_time += 1;
    shown(&f, "");
    moved = f.u->look.from == from + span / 4;
    for (int64_t step = from + span + 10; step < from + span + span / 4 - 10; step += 100) {
        fx_step(f.r, step, 100000);
        fx_time += 1;
        shown(&f, "");
        steady = steady && f.u->look.from == from + span / 4;
    }
    tap_ok(moved && steady, "a window at the end of the run advances by quarter-screens and stands still between");
    shown(&f, "[");
    tap_ok(f.u->look.from == from && !f.u->look.follow, "[ goes a quarter back");
    tap_ok(command(&f, "window from=1000 to=1100", &e) && f.u->look.from == 1000 && f.u->look.span == 100, "a window by numbers");
    tap_ok(!command(&f, "window from=10 to=5", &e) && strstr(e.text, "from=10"), "an empty one is refused: %s", e.text);
    shown(&f, "w");
    tap_ok(f.u->look.span == 0, "w: the whole run");
    fx_close(&f);
}

static void axes(void) {
    struct fx f;
    struct err e = {0};
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "2z");
    tap_ok(has(shown(&f, "X"), "ep 0") && f.u->look.x == PLOT_EPOCH, "X: epochs below the chart");
    tap_ok(has(shown(&f, "X"), " 0s ") && f.u->look.x == PLOT_TIME, "X: seconds of training");
    shown(&f, "X");
    const char *colon = strchr(strrchr(shown(&f, ""), '*') - 80, ':');
    tap_ok(f.u->look.x == PLOT_CLOCK && colon, "X: the clock");
    shown(&f, "X");
    tap_ok(f.u->look.x == PLOT_STEP, "X: steps again");
    /* a pause counts on the clock, not as training */
    run_set_state(f.r, RUN_PAUSED);
    fx_time += 1000;
    run_set_state(f.r, RUN_TRAINING);
    fx_step(f.r, 60000, 100000);
    struct bucket busy[4], wall[4];
    size_t a = run_axis(f.r, RUN_BUSY, 60000, 60001, busy, 4), b = run_axis(f.r, RUN_CLOCK, 60000, 60001, wall, 4);
    tap_ok(a == 1 && b == 1 && busy[0].max > 100 && busy[0].max < 200 && wall[0].max - busy[0].max == 1000,
        "a pause of 1,000 s: %g s of training, %g s since the start", (double)busy[0].max, (double)wall[0].max);
    tap_ok(!command(&f, "x_axis sideways", &e), "another axis is refused: %s", e.text);
    fx_close(&f);
}

static void reading(void) {
    struct fx f;
    static const char *const names[] = {"loss"};
    fx_open(&f, 0, 0);
    for (int i = 0; i < 40; i++) run_metrics(f.r, i * 3, 0, names, (double[]){i == 20 ? NAN : 1.0 / (i + 1)}, 1);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "2z");
    shown(&f, "i"); /* a step a column */
    int logged = 0, nothing = 0, wrong = 0;
    for (int x = 0; x < 64; x++) {
        int64_t step = f.u->look.from + x;
        f.u->cursor = x;
        f.u->dirty = true;
        const char *s = shown(&f, ""), *p = strstr(s, " loss 0.");
        char want[64];
        snprintf(want, sizeof want, "loss %.4f at step %lld\n", 1.0 / ((double)step / 3 + 1), (long long)step);
        if (step % 3 == 0 && step < 120 && step != 60) logged += strstr(s, want) != NULL;
        else if (step == 60) wrong += !strstr(s, "1 not finite from step 60");
        else nothing += !strstr(s, "at step") && p == NULL;
    }
    tap_ok(logged >= 18 && wrong == 0 && nothing >= 40, "reading a point gives logged values with their steps (%d), and nothing between them (%d)", logged,
        nothing);
    fx_close(&f);
}

static void smoothing(void) {
    struct fx f;
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    const char *s = shown(&f, "2z");
    tap_ok(!strstr(s, "ema"), "no smoothing at first");
    s = shown(&f, "+++++");
    bool marks = has(s, "ema 0.999"), raw = strchr(s, ':') != NULL;
    tap_ok(marks && raw && f.u->look.smooth == 0.999, "+: smoothed up to 0.999, the means stay below as :");
    bool dim = false;
    for (int i = 0; i < f.u->next.rows * f.u->next.cols; i++)
        if (strcmp(f.u->next.cell[i].text, ":") == 0 && f.u->next.cell[i].style.at == AT_DIM) dim = true;
    tap_ok(dim, "dim");
    double whole = run_smooth(f.r, "loss", 0.9), sum = 0, left = 1;
    struct bucket b[1024];
    int k;
    size_t n = run_series(f.r, "loss", b, 1024, &k);
    for (size_t i = 0; i < n; i++) sum = 0.9 * sum + 0.1 * b[i].mean, left *= 0.9;
    tap_near(whole, sum / (1 - left), 1e-12, "the smoothed value is a number of the record (run_smooth), whatever the width of a chart");
    shown(&f, "-----");
    fx_close(&f);
}

static void strange(void) {
    struct fx f;
    static const char *const names[] = {"loss", "all_nan", "half_inf", "zeros"};
    fx_open(&f, 0, 0);
    for (int i = 0; i < 5000; i++) {
        double v[] = {1 + 0.2 * sin(i * 0.01), NAN, i % 2 ? INFINITY : 2 + 0.1 * cos(i * 0.01),
            i % 100 == 0    ? 0
            : i % 100 == 50 ? -1
                            : pow(10, -(double)(i % 100) / 25)};
        run_metrics(f.r, i, 0, names, v, 4);
    }
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    const char *s = shown(&f, "2");
    tap_ok(has(s, "all_nan x5000") && has(s, "half_inf x2500") && f.u->range[0].hi <= 1.5 && f.u->range[2].hi <= 2.5,
        "t.C3: all NaN, half Inf: counted, x on the top edge, and the scales are those of the finite values");
    s = shown(&f, "L");
    tap_ok(has(s, "<=0:100") && strchr(s, '_') && f.u->range[3].log, "t.C4: 100 zeros and negatives on a log axis are counted and marked");
    shown(&f, "L");
    fx_close(&f);
}

static void memory_and_time(void) {
    struct fx f;
    fx_open(&f, 100000, 100000);
    struct series *s = series_new("x");
    for (int64_t i = 0; i < 3000000; i++) series_add(s, i * 1000, (double)i);
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 50, 200, false);
    shown(&f, "2");
    double best = 1e9;
    for (int i = 0; i < 20; i++) {
        double t0 = clock_now();
        ui_compose(f.u);
        double t = clock_now() - t0;
        if (t < best) best = t;
    }
    int charts = 0;
    for (int y = 2; y < 50; y++) /* titles of charts: their metrics' names stand at three columns */
        for (int x = 0; x < 3; x++) charts += f.u->next.cell[y * 200 + x * 200 / 3 + 3].style.ink == INK_TITLE;
    tap_ok(series_bytes(s) <= 64 * 1024 && charts >= 8 && best < 0.2, "t.C2: %zu bytes of history for 3 G steps; a grid of %d charts at 200x50 in %.2f ms",
        series_bytes(s), charts, best * 1e3);
    series_free(s);
    fx_close(&f);
}

static struct run *another(struct fx *f, double offset, int64_t seed, bool ended) {
    struct run *r = run_new(f->rs, "other", NULL);
    struct val *info = val_table(), *config = val_table();
    val_set_str(info, "model", "mlp");
    val_set_num(config, "lr", 0.1);
    val_set_int(config, "seed", seed);
    val_set(info, "config", config);
    run_info(r, info);
    run_set_state(r, RUN_TRAINING);
    for (int i = 0; i < 2000; i++) {
        double v = offset + exp(-i / 300.0);
        fx_time += 0.01;
        run_metrics(r, i, i / 500.0, (const char *const[]){"loss"}, &v, 1);
    }
    if (ended) run_end(r, RUN_DONE, 0);
    return r;
}

static void ghosts(void) {
    struct fx f;
    fx_open(&f, 0, 0);
    run_end(f.r, RUN_DONE, 0);
    another(&f, 0.1, 1, true);
    another(&f, 0.5, 2, true);
    another(&f, 0.3, 3, false);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "2z");
    tap_ok(has(shown(&f, "b"), "- other-2"), "ghost: the run before, as a dim curve of its own mark");
    bool dim = false;
    const struct grid *g = &f.u->next;
    for (int i = 3 * g->cols; i < 20 * g->cols; i++)
        if (strcmp(g->cell[i].text, "-") == 0 && g->cell[i].style.ink == INK_DIM) dim = true;
    tap_ok(dim && has(shown(&f, "b"), "- other-1"), "ghost: the best run");
    const char *s = shown(&f, "b");
    tap_ok(has(s, "- 3 seeds"), "ghost: the mean over runs that differ only in the seed");
    f.u->cursor = 20;
    f.u->dirty = true;
    s = shown(&f, "");
    const char *p = strstr(s, " 3 seeds ");
    double lo = p && strchr(p, '(') ? strtod(strchr(p, '(') + 1, NULL) : 0, hi = p && strstr(p, "..") ? strtod(strstr(p, "..") + 2, NULL) : 0;
    tap_ok(fabs(hi - lo - 0.4) < 2e-3, "with the range of the three: %g to %g", lo, hi);
    shown(&f, "b");
    tap_ok(f.u->look.ghost == GHOST_OFF, "none again");
    fx_close(&f);
}

static void layout(void) {
    struct fx f;
    struct err e = {0};
    static const char *const names[] = {"loss", "layer1/grad_norm", "val_loss", "layer2/grad_norm", "layer1/weight", "acc", "val_acc", "layer2/weight"};
    fx_open(&f, 0, 0);
    for (int i = 0; i < 300; i++) {
        double v[8];
        for (int m = 0; m < 8; m++) v[m] = m + 1.0 / (i + 1);
        run_metrics(f.r, i, 0, names, v, 8);
    }
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 50, 120, false);
    const char *s = shown(&f, "2");
    tap_ok(row_of(s, "layer1/weight") >= 0 && row_of(s, "layer1/grad_norm") == 2 && strstr(s, "layer1/weight") < strstr(s, "layer2/grad_norm") &&
               strstr(s, "layer1/weight") > strstr(s, "layer1/grad_norm") && has(s, "o val_loss"),
        "charts stand group by group, a metric beside its validation twin");
    tap_ok(command(&f, "pin acc", &e) && row_of(shown(&f, ""), "! acc") == 2 && strstr(text.data, "! acc") < strstr(text.data, " loss"),
        "a pinned one comes first");
    shown(&f, "/layer2/*\r");
    s = shown(&f, "");
    tap_ok(has(s, "layer2/weight") && !strstr(s, "layer1/") && has(s, "layer2/*: 2"), "a glob filters, and says so");
    shown(&f, "/");
    for (int i = 0; i < 10; i++) fx_keys(&f, "\x7f");
    s = shown(&f, "\r");
    tap_ok(f.u->look.filter[0] == 0 && has(s, "layer1/weight"), "an empty glob shows all");
    int counts[8] = {0}, distinct = 0;
    for (int i = 0; i < 8; i++) {
        shown(&f, i ? "G" : "");
        for (int k = 0; k < 50 * 120; k++) counts[i] += f.u->next.cell[k].style.ink == INK_TITLE && f.u->next.cell[k].text[0] && k > 240;
        distinct += i > 0 && counts[i] != counts[i - 1];
    }
    tap_ok(f.u->look.grid == 7 && distinct >= 4, "G goes through the grids, 1x1 to 3x3");
    struct settings set;
    settings_get(&set);
    tap_ok(set.chart_grid == 7 && strcmp(set.chart_pins, "acc") == 0, "grid and pins are settings: what saves those keeps the layout");
    args_release(&settings_kind, &set);
    command(&f, "grid auto", &e);
    shown(&f, "}");
    const char *first = f.u->now.metric[f.u->sel].name;
    shown(&f, "}");
    tap_ok(strcmp(first, f.u->now.metric[f.u->sel].name) != 0, "} goes to the next group (%s, %s)", first, f.u->now.metric[f.u->sel].name);
    command(&f, "pin acc", &e);
    tap_ok(f.u->look.pins[0] == 0, "pinned twice: not pinned");
    fx_close(&f);
}

/* The form of the learning rate, with what the engine would answer. */
static void form(void) {
    struct fx f;
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "1l");
    struct val *a = val_table(), *now = val_list(), *then = val_list();
    for (int i = 0; i < 40; i++) val_push(now, val_num(3e-4 * (1 - i / 40.0))), val_push(then, val_num(1.5e-4 * (1 - i / 40.0)));
    val_set_int(a, "from", 59999);
    val_set_int(a, "k", 10);
    val_set(a, "now", now);
    val_set(a, "new", then);
    f.u->ahead = a;
    const char *s = shown(&f, "x0.5");
    tap_ok(has(s, "from step 60,000: 3.0e-4 -> 1.5e-4; at the end 7.5e-6 -> 3.8e-6") && has(s, "* with the edit  - without"),
        "the form shows old, new and the schedule to come");
    shown(&f, "\x15");
    s = shown(&f, "1e-6 in 300\r");
    tap_ok(has(s, "3.0e-4 -> 1.0e-6, more than 10 times. Enter again") && f.u->popup == POP_FORM, "more than 10 times asks once");
    shown(&f, "\r");
    const char *said = log_at(f.u, f.u->n_log - 1)->text;
    tap_ok(f.u->popup == POP_NONE && strstr(said, "lr_ramp") && strstr(said, "steps=300"), "then it is done: %s", said);
    shown(&f, "lback\r");
    said = log_at(f.u, f.u->n_log - 1)->text;
    tap_ok(strstr(said, "lr_scale") && strchr(said, '1'), "back to the schedule: %s", said);
    s = shown(&f, "lnan\r");
    tap_ok(has(s, "is no learning rate") && f.u->popup == POP_FORM, "non-finite is refused");
    shown(&f, "\x1b");
    fx_close(&f);
}

static void alerts(void) {
    struct fx f;
    fx_open(&f, 6000, 10000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    shown(&f, "1");
    struct val *v = val_table();
    val_set_str(v, "level", "error");
    val_set_str(v, "text", "step 6001 was not applied: the loss is not finite");
    run_event(f.r, "alert", 6000, v);
    fx_time += 1;
    buf_clear(&frame);
    fx_frame(&f, &frame);
    bool bell = memchr(frame.data, '\a', frame.len) != NULL, all = true;
    for (int i = 0; i < SCR_N; i++) {
        if (i == SCR_LOG) continue;
        ui_open_screen(f.u, i);
        f.u->dirty = true;
        all = all && has(shown(&f, ""), "! step 6001 was not applied: the loss is not finite");
    }
    tap_ok(bell && all, "t.E5: an alert rings the bell and stands on every screen");
    shown(&f, "9");
    tap_ok(!strstr(shown(&f, "1"), "! step 6001"), "until the log was opened");
    v = val_table();
    val_set_str(v, "text", "again");
    run_event(f.r, "alert", 6000, v);
    fx_time += 1;
    bool again = has(shown(&f, ""), "! again");
    fx_keys(&f, "\x1b");
    fx_time += 1;
    fx_frame(&f, &frame);
    tap_ok(again && !strstr(shown(&f, ""), "! again"), "or Esc pressed");
    fx_close(&f);
}

/* The report "histograms" as the engine writes it: 12 looks at a bell that grows wider. */
static void heat(void) {
    struct fx f;
    fx_open(&f, 100, 1000);
    struct val *rep = val_table(), *steps = val_list(), *weights = val_list(), *w = val_table(), *values = val_list(), *grads = val_list();
    for (int i = 0; i < 12; i++) {
        struct buf b = BUF_INIT;
        double sd = 0.05 + 0.05 * i;
        buf_adds(&b, "-2 2 ");
        for (int k = 0; k < HEAT_BINS; k++) buf_addf(&b, "%02x", (unsigned)lround(255 * exp(-pow((-2 + (k + 0.5) * 0.1) / sd, 2) / 2)));
        val_push(steps, val_int(100 * i));
        val_push(values, i == 5 ? val_bool(false) : val_str(b.data));
        val_push(grads, val_bool(false));
        buf_release(&b);
    }
    val_set_str(w, "name", "fc1.weight");
    val_set(w, "w", values);
    val_set(w, "g", grads);
    val_push(weights, w);
    val_set(rep, "steps", steps);
    val_set(rep, "weights", weights);
    run_report(f.r, "histograms", rep);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    const char *s = shown(&f, "2H");
    const struct grid *g = &f.u->next;
    int filled[2] = {0}, gap = 0;
    for (int y = 3; y < 22; y++) {
        filled[0] += g->cell[y * 80 + 8].text[0] != ' ';
        filled[1] += g->cell[y * 80 + 8 + 11 * 6].text[0] != ' ';
        gap += g->cell[y * 80 + 8 + 5 * 6].text[0] != ' ';
    }
    tap_ok(has(s, "fc1.weight") && !strstr(s, "gradient") && has(s, "1,100") && filled[0] >= 3 && filled[1] > 2 * filled[0] && gap == 0,
        "H: weights over time; the bell grows from %d rows to %d, a look that failed is a gap", filled[0], filled[1]);
    int zero = row_of(s, "      0|");
    tap_ok(zero > 8 && zero < 16 && g->cell[zero * 80 + 8].text[0] == '@', "the fullest interval is the darkest");
    struct heat_col c = {0};
    tap_ok(!heat_read("-1 1 zz", &c) && !heat_read(NULL, &c) && !heat_read("nan 1 00", &c) && !heat_read("", &c), "what is no histogram is refused");
    tap_ok(has(shown(&f, "H"), "loss"), "H: the metrics again");
    fx_close(&f);
}

int main(void) {
    spike();
    windows();
    axes();
    reading();
    smoothing();
    strange();
    memory_and_time();
    ghosts();
    layout();
    form();
    heat();
    alerts();
    buf_release(&text);
    buf_release(&frame);
    return tap_done();
}
