/* The session's settings: one struct under one lock, its kind with every default and range. Any thread. */
#include "config.h"

#include "src/call/settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects now */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct settings now;
static _Atomic unsigned version = 1;

static void first(void) {
    struct err e = {0};
    if (args_parse(&settings_kind, NULL, &now, &e) != 0) BUG("%s", e.text);
}

void settings_init(void) { pthread_once(&once, first); }

void settings_get(struct settings *out) {
    struct err e;
    settings_init();
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&lock);
    struct val *v = args_to_val(&settings_kind, &now);
    pthread_mutex_unlock(&lock);
    if (args_parse(&settings_kind, v, out, &e) != 0) BUG("%s", e.text);
    val_free(v);
}

static int check_device(const struct val *v, struct err *e) {
    const char *s = v->type == VAL_STR ? v->u.s.p : "";
    size_t digits = strncmp(s, "cuda:", 5) == 0 ? strspn(s + 5, "0123456789") : 0;
    if (strcmp(s, "cpu") == 0 || strcmp(s, "cuda") == 0 || (digits > 0 && digits < 4 && !s[5 + digits])) return 0;
    return err_code(e, ERR_USAGE, "set: device must be cpu, cuda or cuda:N, not '%s'", s);
}

int settings_set(const char *name, const struct val *v, struct val **old, struct err *e) {
    settings_init();
    if (strcmp(name, "device") == 0 && v->type != VAL_NIL && check_device(v, e) != 0) return -1;
    pthread_mutex_lock(&lock);
    struct val *was = args_get(&settings_kind, &now, name);
    int rc = args_set(&settings_kind, &now, name, v, e);
    pthread_mutex_unlock(&lock);
    if (rc == 0) atomic_fetch_add(&version, 1);
    if (rc == 0 && old) *old = was;
    else val_free(was);
    return rc;
}

unsigned settings_version(void) { return atomic_load(&version); }

static const char *const glyphs[] = {"auto", "braille", "half", "line", "ascii", NULL};
static const char *const colors[] = {"auto", "256", "16", "8", "none", NULL};
static const char *const notify_names[] = {"off", "auto", "osc9", "osc777", NULL}; /* ORDER enum notify of ui/term/osc.h */
static const char *const nonfinite[] = {"pause", "stop", "skip", NULL};

const char *const chart_x_names[] = {"step", "epoch", "time", "clock", NULL};
const char *const chart_grid_names[] = {"auto", "1x1", "1x2", "2x1", "2x2", "2x3", "3x2", "3x3", NULL};
const char *const chart_ghost_names[] = {"off", "previous", "best", "seeds", NULL};

#define AT(f) offsetof(struct settings, f)
static const struct arg settings_args[] = {
    {"refresh", "how often numbers and charts are drawn", "frames a second", "2", ARG_NUM, AT(refresh), ARG_LIVE, AT_STEP, 0.1, 30, NULL, SRC_NONE},
    {"glyphs", "what charts are drawn with", NULL, "auto", ARG_ENUM, AT(glyphs), ARG_LIVE, AT_STEP, 0, 0, glyphs, SRC_NONE},
    {"color", "how many colours are used", NULL, "auto", ARG_ENUM, AT(color), ARG_LIVE, AT_STEP, 0, 0, colors, SRC_NONE},
    {"budget", "most bytes sent to the terminal; 0: no cap", "bytes a second", "0", ARG_INT, AT(budget), ARG_LIVE, AT_STEP, 0, 1e9, NULL, SRC_NONE},
    {"bell", "ring when a run ends or a number is not finite", NULL, "true", ARG_BOOL, AT(bell), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"title", "the window's title says what runs", NULL, "true", ARG_BOOL, AT(title), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"notify", "a desktop notification at the end of a run; auto: on terminals known to show one", NULL, "off", ARG_ENUM, AT(notify), ARG_LIVE, AT_STEP, 0, 0,
        notify_names, SRC_NONE},
    {"clipboard", "y may write the terminal's clipboard (OSC 52)", NULL, "false", ARG_BOOL, AT(clipboard), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"glyphs_term", "glyph sets chosen by key, by terminal type", NULL, NULL, ARG_STR, AT(glyphs_term), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"log_every", "steps from one metric event to the next", "steps", "10", ARG_INT, AT(log_every), ARG_LIVE, AT_STEP, 1, 1e9, NULL, SRC_NONE},
    {"ranks", "processes that share each training step, on one machine (on GPUs: one each); 1: this one alone", NULL, "1", ARG_INT, AT(ranks), ARG_LIVE, AT_RUN,
        1, 64, NULL, SRC_NONE},
    {"threads", "worker threads; 0: one for every core", NULL, "0", ARG_INT, AT(threads), ARG_LIVE, AT_RUN, 0, 1024, NULL, SRC_NONE},
    {"seed", "where random numbers start", NULL, "1", ARG_INT, AT(seed), ARG_LIVE, AT_RUN, 0, 0x1p53, NULL, SRC_NONE},
    {"deterministic", "pin the choice of kernels, on a GPU also the order of sums", NULL, "false", ARG_BOOL, AT(deterministic), ARG_LIVE, AT_RUN, 0, 0, NULL,
        SRC_NONE},
    {"tf32", "on a GPU products and convolutions of fp32 round their operands to 10 bits (TF32): faster, less exact", NULL, "false", ARG_BOOL, AT(tf32),
        ARG_LIVE, AT_RUN, 0, 0, NULL, SRC_NONE},
    {"nonfinite", "what a loss that is not finite does; where nobody can resume a run, pause becomes stop", NULL, "pause", ARG_ENUM, AT(nonfinite), ARG_LIVE,
        AT_STEP, 0, 0, nonfinite, SRC_NONE},
    {"device", "where runs compute: cpu, cuda or cuda:N", NULL, "cpu", ARG_STR, AT(device), ARG_LIVE, AT_RUN, 0, 0, NULL, SRC_NONE},
    {"data", "colon list of folders where data sets are looked for first", NULL, NULL, ARG_STR, AT(data), ARG_LIVE, AT_RUN, 0, 0, NULL, SRC_FILE},
    {"chart_smooth", "exponential smoothing of charts: what a point keeps of those before it; a point is a step, in a long run 1/1024 of it or more", NULL, "0",
        ARG_NUM, AT(chart_smooth), ARG_LIVE, AT_STEP, 0, 0.999, NULL, SRC_NONE},
    {"chart_log", "logarithmic y axis", NULL, "false", ARG_BOOL, AT(chart_log), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"chart_outliers", "the y range holds every outlier", NULL, "false", ARG_BOOL, AT(chart_outliers), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_NONE},
    {"chart_x", "x axis: steps, epochs, time of training, clock", NULL, "step", ARG_ENUM, AT(chart_x), ARG_LIVE, AT_STEP, 0, 0, chart_x_names, SRC_NONE},
    {"chart_grid", "rows x columns of charts on the screen Metrics", NULL, "auto", ARG_ENUM, AT(chart_grid), ARG_LIVE, AT_STEP, 0, 0, chart_grid_names,
        SRC_NONE},
    {"chart_ghost", "another curve behind each: the run before, the best run, mean and range over seeds", NULL, "off", ARG_ENUM, AT(chart_ghost), ARG_LIVE,
        AT_STEP, 0, 0, chart_ghost_names, SRC_NONE},
    {"chart_filter", "which metrics have charts, as a glob: val_*", NULL, NULL, ARG_STR, AT(chart_filter), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_METRIC},
    {"chart_pins", "metrics whose charts come first, separated by commas", NULL, NULL, ARG_STR, AT(chart_pins), ARG_LIVE, AT_STEP, 0, 0, NULL, SRC_METRIC},
    {0}};
const struct kind settings_kind = {"set", "the session's settings", "hone.prop.refresh = 4", settings_args, sizeof(struct settings)};
