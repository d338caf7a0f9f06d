/* Alarms; see the header. Values of a step are judged by their moving average, those of an evaluation as they are. */
#include "config.h"

#include "src/run/alarm.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "src/call/call.h"
#include "src/run/private.h"

#define MEAN_KEEPS 0.98 /* what the moving average keeps of the past: about 50 values */
enum { WARM = 20 }; /* values before the average says where a run began */

static const char *const when_names[] = {"diverges", "plateau", "above", "below", "alert", NULL}; /* ORDER enum alarm_when */

static bool of_evaluation(const char *metric) { return strncmp(metric, "val_", 4) == 0 || strncmp(metric, "test_", 5) == 0; }

void alarms_init(struct alarms *a) {
    *a = (struct alarms){.n = 1, .last_id = 1};
    a->row[0] = (struct alarm){.id = 1, .metric = "loss", .when = ALARM_DIVERGES, .value = 0.5, .patience = 50};
}

void alarms_release(struct alarms *a) {
    hooks_free(a->hooks);
    for (int i = 0; i < a->n; i++) val_free(a->row[i].hook);
}

static struct alarm_state *state_of(struct run *r, int id) {
    struct alarm_state *free_one = NULL;
    for (int i = 0; i < ALARMS; i++) {
        struct alarm_state *s = &r->alarm[i];
        if (s->id == id) return s;
        bool used = false;
        for (int k = 0; k < r->rs->alarms.n; k++) used = used || r->rs->alarms.row[k].id == s->id;
        if (!used && !free_one) free_one = s;
    }
    if (free_one) *free_one = (struct alarm_state){.id = id, .mean = EMA_START, .first = NAN, .best = NAN};
    return free_one;
}

/* Whether the condition holds with this value; x: what is judged. */
static bool holds(const struct alarm *a, struct alarm_state *s, int64_t step, double v, double *x) {
    bool eval = of_evaluation(a->metric), up = metric_direction(a->metric) > 0;
    *x = v;
    s->seen++;
    if (a->when == ALARM_ABOVE) return v > a->value;
    if (a->when == ALARM_BELOW) return v < a->value;
    if (!eval) *x = ema_next(&s->mean, v, MEAN_KEEPS);
    if (!eval && s->seen < WARM) return false;
    if (isnan(s->first)) {
        s->first = s->best = *x;
        s->best_step = step;
        return false;
    }
    double gain = up ? *x - s->best : s->best - *x, gained = fabs(s->first - s->best);
    bool progress = a->when == ALARM_PLATEAU ? gain > a->value * fabs(s->best) : gain > 0;
    s->since = progress ? 0 : s->since + 1;
    if (progress) {
        s->best = *x;
        s->best_step = step;
    }
    if (a->when == ALARM_PLATEAU) return s->since > 0;
    return -gain > a->value * fmax(gained, 0.5 * fabs(s->first)); /* this share of what was gained is lost again */
}

static void hooks_start(struct run *r, const struct alarm *a, const char *metric, double v, int64_t step, const char *text) {
    struct alarms *all = &r->rs->alarms;
    char run[100], name[64], value[64], at[64], what[400];
    const char *env[] = {run, name, value, at, what, NULL};
    if (!a->hook) return;
    snprintf(run, sizeof run, "HONE_RUN=%s", r->name);
    snprintf(name, sizeof name, "HONE_METRIC=%s", metric);
    snprintf(value, sizeof value, "HONE_VALUE=%.17g", v);
    snprintf(at, sizeof at, "HONE_STEP=%lld", (long long)step);
    snprintf(what, sizeof what, "HONE_TEXT=%.380s", text);
    if (!all->hooks) all->hooks = hooks_new(r->rs);
    hook_run(all->hooks, a->hook, env);
}

static void go_off(struct run *r, const struct alarm *a, const struct alarm_state *s, int64_t step, double x) {
    char text[300];
    if (a->when == ALARM_DIVERGES)
        snprintf(text, sizeof text, "%s diverges: %.4g, the best was %.4g at step %lld", a->metric, x, s->best, (long long)s->best_step);
    else if (a->when == ALARM_PLATEAU)
        snprintf(text, sizeof text, "%s is on a plateau: no progress in %lld values, the best was %.4g at step %lld", a->metric, (long long)a->patience,
            s->best, (long long)s->best_step);
    else snprintf(text, sizeof text, "%s is %s %.4g: %.4g", a->metric, when_names[a->when], a->value, x);
    double t = run_clock(r);
    struct val *ev = event_new(r, t, "alert");
    val_set_int(ev, "step", step);
    val_set_str(ev, "level", "warn");
    val_set_str(ev, "text", text);
    val_set_str(ev, "metric", a->metric);
    val_set_str(ev, "when", when_names[a->when]);
    val_set_num(ev, "value", x);
    val_set_bool(ev, "bell", true);
    store_log(r, t, "warn", text);
    event_put(r->rs, ev);
    hooks_start(r, a, a->metric, x, step, text);
    alarm_alert(r, text, step);
}

void alarm_value(struct run *r, const char *metric, int64_t step, double v) {
    for (int i = 0; i < r->rs->alarms.n; i++) {
        const struct alarm *a = &r->rs->alarms.row[i];
        double x;
        if (a->when == ALARM_ALERT || strcmp(a->metric, metric) != 0 || !isfinite(v)) continue; /* what is not finite alerts by itself */
        struct alarm_state *s = state_of(r, a->id);
        if (!s) continue;
        s->held = holds(a, s, step, v, &x) ? s->held + 1 : 0;
        if (!s->held) s->fired = false;
        if (s->held < a->patience || s->fired) continue;
        s->fired = true;
        go_off(r, a, s, step, x);
    }
}

void alarm_alert(struct run *r, const char *text, int64_t step) {
    for (int i = 0; i < r->rs->alarms.n; i++)
        if (r->rs->alarms.row[i].when == ALARM_ALERT) hooks_start(r, &r->rs->alarms.row[i], "*", NAN, step, text);
}

/* ---- commands ---- */

struct alarm_args {
    char *metric;
    int when;
    double value;
    int64_t patience;
    struct val *hook;
    bool off;
};

static int find(const struct alarms *a, const char *metric, int when) {
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->row[i].metric, metric) == 0 && (int)a->row[i].when == when) return i;
    return -1;
}

static int check(const struct alarm_args *a, struct err *e) {
    if (strlen(a->metric) > 31) return err_code(e, ERR_USAGE, "alarm: no metric has a name as long as %.40s..", a->metric);
    if ((a->when == ALARM_ABOVE || a->when == ALARM_BELOW) && isnan(a->value) && !a->off)
        return err_code(e, ERR_USAGE, "alarm: %s needs value=", when_names[a->when]);
    for (size_t i = 0; i < val_len(a->hook); i++)
        if (val_at(a->hook, i)->type != VAL_STR)
            return err_code(e, ERR_USAGE, "alarm: argument %zu of hook is a %s, not a text", i + 1, val_type_name(val_at(a->hook, i)));
    if (a->hook && !val_len(a->hook)) return err_code(e, ERR_USAGE, "alarm: hook is an argument list such as {\"notify-send\", \"hone\"}; it is empty");
    return 0;
}

static int alarm_run(struct call *c, const void *args, struct err *e) {
    const struct alarm_args *a = args;
    struct runs *rs = hub_runs(c->hub);
    struct alarms *all = &rs->alarms;
    if (check(a, e) < 0) return -1;
    bool eval = of_evaluation(a->metric);
    double value = !isnan(a->value) ? a->value : a->when == ALARM_DIVERGES ? 0.5 : 0.001;
    int64_t usual = a->when == ALARM_DIVERGES ? (eval ? 3 : 50) : a->when == ALARM_PLATEAU ? (eval ? 10 : 1000) : 1;
    struct alarm row = {.when = (enum alarm_when)a->when, .value = value, .patience = a->patience == ARG_NONE_INT ? usual : a->patience};
    snprintf(row.metric, sizeof row.metric, "%.31s", a->metric);
    pthread_mutex_lock(&rs->lock);
    int at = find(all, row.metric, a->when), rc = 0;
    if (a->off && at < 0) rc = err_set(e, "alarm: there is none of %s %s", a->metric, when_names[a->when]);
    else if (!a->off && at < 0 && all->n == ALARMS) rc = err_set(e, "alarm: there are %d already; take one away with off=true", ALARMS);
    if (rc == 0 && at >= 0) { /* another one of the same kind takes its place */
        val_free(all->row[at].hook);
        memmove(all->row + at, all->row + at + 1, (size_t)(--all->n - at) * sizeof *all->row);
    }
    if (rc == 0 && !a->off) {
        row.id = ++all->last_id;
        row.hook = val_copy(a->hook);
        all->row[all->n++] = row;
    }
    pthread_mutex_unlock(&rs->lock);
    return rc;
}

static int alarms_run(struct call *c, const void *args, struct err *e) {
    struct runs *rs = hub_runs(c->hub);
    struct val *list = val_list();
    (void)args, (void)e;
    pthread_mutex_lock(&rs->lock);
    for (int i = 0; i < rs->alarms.n; i++) {
        const struct alarm *a = &rs->alarms.row[i];
        struct val *t = val_table();
        val_set_str(t, "metric", a->metric);
        val_set_str(t, "when", when_names[a->when]);
        val_set_num(t, "value", a->value);
        val_set_int(t, "patience", a->patience);
        if (a->hook) val_set(t, "hook", val_copy(a->hook));
        val_push(list, t);
    }
    pthread_mutex_unlock(&rs->lock);
    call_result(c, list);
    return 0;
}

static const struct arg alarm_table[] = {
    {"metric", "which metric; with alert: *", NULL, NULL, ARG_STR, offsetof(struct alarm_args, metric), ARG_POSITIONAL | ARG_REQUIRED, .source = SRC_METRIC},
    {"when",
        "diverges: a share (value, 0.5) of what was gained is lost; plateau: no progress by more than a share (value, 0.001) of the best; above, below: "
        "value; alert: any alert, for its hook",
        NULL, NULL, ARG_ENUM, offsetof(struct alarm_args, when), ARG_POSITIONAL | ARG_REQUIRED, .names = when_names},
    {"value", "see when", NULL, NULL, ARG_NUM, offsetof(struct alarm_args, value), 0},
    {"patience", "logged values in a row; 50, plateau 1000, of evaluations 3 and 10, above and below 1", NULL, NULL, ARG_INT,
        offsetof(struct alarm_args, patience), 0, .lo = 1, .hi = 1e15},
    {"hook", "a program and its arguments, started with HONE_RUN, HONE_METRIC, HONE_VALUE, HONE_STEP and HONE_TEXT in its environment", NULL, NULL, ARG_TABLE,
        offsetof(struct alarm_args, hook), 0},
    {"off", "takes this alarm away", NULL, NULL, ARG_BOOL, offsetof(struct alarm_args, off), 0}, {0}};

const struct cmd cmd_alarm = {
    {"alarm", "an alert when a metric diverges, is on a plateau, above or below a value; loss diverges is there from the start",
        "hone.alarm{\"val_loss\", \"plateau\", patience=5, hook={\"notify-send\", \"hone\"}}", alarm_table, sizeof(struct alarm_args)},
    OWNER_ANY, CMD_WHILE_RUNNING, alarm_run, NULL};
const struct cmd cmd_alarms = {{"alarms", "lists the alarms", "hone.alarms{}", NULL, 0}, OWNER_ANY, CMD_WATCHER | CMD_WHILE_RUNNING, alarms_run, NULL};
