/* The command curves: one metric of several runs as columns of 2^k steps, the same k for all, as screen Compare and the ghost curve draw it. Each
 * column holds what was logged in it and nothing between. Runs that differ only in the seed can be joined into mean and bands. Helper thread. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/stored/diff.h"
#include "src/stored/folder.h"
#include "src/run/marks.h"
#include "src/run/pyramid.h"

struct curves_args {
    struct val *runs;
    char *metric;
    int64_t points;
    bool seeds;
};
enum { CURVES_MAX = 64, MARKS_MAX = 64 };

struct curve {
    struct bucket *b;
    size_t n;
    int k;
};

/* ---- which runs ---- */

static bool better(const char *metric, double a, double b) { return metric_direction(metric) > 0 ? a > b : a < b; }

/* "previous": the newest run that has ended and has the metric, but for the current one; "best": of those the one with the best value. NULL: none. */
static const char *named(struct runs *rs, const struct shelf *s, const char *word, const char *metric) {
    struct run *now = runs_current(rs);
    const struct shelf_run *found = NULL;
    for (size_t i = s->n; i-- > 0;) {
        const struct shelf_run *r = s->run[i];
        const struct metric_ends *m = shelf_metric(r, metric);
        if (!m || !m->ends.count || !run_state_ended(r->state) || (now && strcmp(run_name(now), r->name) == 0)) continue;
        if (strcmp(word, "previous") == 0) return r->name;
        if (!found || better(metric, shelf_best(m, NULL), shelf_best(shelf_metric(found, metric), NULL))) found = r;
    }
    return found ? found->name : NULL;
}

/* The words among the names become names; a word that means no run is left out. */
static struct val *resolve(struct call *c, const struct val *given, const char *metric, struct err *e) {
    struct runs *rs = hub_runs(c->hub);
    struct val *out = val_list();
    for (size_t i = 0; i < val_len(given); i++) {
        const struct val *v = val_at(given, i);
        bool word = v->type == VAL_STR && (strcmp(v->u.s.p, "previous") == 0 || strcmp(v->u.s.p, "best") == 0);
        struct shelf *s = word ? runs_shelf_read(rs, e) : NULL;
        if (word && !s) {
            val_free(out);
            return NULL;
        }
        const char *name = word ? named(rs, s, v->u.s.p, metric) : NULL;
        if (!word) val_push(out, val_copy(v));
        else if (name) val_push(out, val_str(name));
        shelf_unref(s);
    }
    return out;
}

/* ---- columns ---- */

/* To buckets of 2^k steps, k at least the curve's own. They stay aligned. */
static void coarser(struct curve *v, int k) {
    size_t per = (size_t)1 << (k - v->k), m = (v->n + per - 1) / per;
    for (size_t i = 0; i < m && per > 1; i++) {
        struct bucket b = {0};
        for (size_t j = i * per; j < (i + 1) * per && j < v->n; j++) bucket_merge(&b, &v->b[j]);
        b.step0 = (int64_t)i << k;
        v->b[i] = b;
    }
    v->n = per > 1 ? m : v->n;
    v->k = k;
}

static int curve_read(const struct folder *f, const char *metric, size_t points, struct curve *out, struct err *e) {
    struct pyramid p;
    *out = (struct curve){.b = X_NEW(struct bucket, points)};
    if (pyramid_read(f->dir, metric, &p, e) != 0) return -1;
    struct series *s = pyramid_find(&p, metric);
    if (s) out->n = series_read(s, out->b, points, &out->k);
    pyramid_release(&p);
    return 0;
}

/* The 97.5 % quantile of Student's t with n - 1 degrees of freedom; beyond the table the first terms of its expansion at the normal's (Abramowitz and
 * Stegun 26.7.5). */
static double t975(size_t n) {
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131};
    if (n < 2) return NAN;
    if (n - 2 < LEN(table)) return table[n - 2];
    double z = 1.959964, v = (double)n - 1;
    return z + (z * z * z + z) / (4 * v) + (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * v * v);
}

static struct val *alone(const struct folder *f, const char *metric, const struct curve *v) {
    struct val *t = val_table(), *list = val_list();
    val_set_str(t, "run", f->name);
    val_set_str(t, "metric", metric);
    val_set_int(t, "k", v->k);
    for (size_t i = 0; i < v->n; i++)
        if (v->b[i].count || v->b[i].bad) val_push(list, bucket_to_val(&v->b[i]));
    val_set(t, "points", list);
    struct mark *mark = X_NEW(struct mark, MARKS_MAX);
    size_t marks = marks_read(f->dir, mark, MARKS_MAX);
    struct val *done = marks ? val_list() : NULL;
    for (size_t i = 0; i < marks; i++) {
        struct val *m = val_table();
        val_append(m, "step", val_int(mark[i].step));
        val_append(m, "text", val_str(mark[i].text));
        val_push(done, m);
    }
    if (marks) val_set(t, "marks", done);
    free(mark);
    return t;
}

/* A column over the runs of a group: mean of their means, their min and max, and the 95 % interval of that mean (two or more runs). */
static struct val *joined(const struct folder *f, const char *metric, const struct curve *v, const int *member, size_t n) {
    struct val *t = val_table(), *list = val_list(), *names = val_list();
    size_t cols = 0;
    for (size_t g = 0; g < n; g++) {
        val_push(names, val_str(f[member[g]].name));
        if (v[member[g]].n > cols) cols = v[member[g]].n;
    }
    val_set_str(t, "run", f[member[0]].name);
    val_set(t, "runs", names);
    val_set_str(t, "metric", metric);
    val_set_int(t, "k", v[member[0]].k);
    for (size_t i = 0; i < cols; i++) {
        struct bucket all = {0};
        double sum = 0, square = 0;
        size_t m = 0;
        for (size_t g = 0; g < n; g++) {
            const struct bucket *b = i < v[member[g]].n ? &v[member[g]].b[i] : NULL;
            if (b) bucket_merge(&all, b);
            if (b && b->count) sum += b->mean, m++;
        }
        if (!m) continue;
        for (size_t g = 0; g < n; g++)
            if (i < v[member[g]].n && v[member[g]].b[i].count) square += pow(v[member[g]].b[i].mean - sum / (double)m, 2);
        all.mean = sum / (double)m;
        all.step0 = (int64_t)i << v[member[0]].k;
        struct val *p = bucket_to_val(&all);
        double half = m > 1 ? t975(m) * sqrt(square / ((double)m - 1) / (double)m) : NAN;
        val_append(p, "runs", val_int((int64_t)m));
        if (m > 1) val_append(p, "lo", val_num(all.mean - half)), val_append(p, "hi", val_num(all.mean + half));
        val_push(list, p);
    }
    val_set(t, "points", list);
    return t;
}

static struct val *groups(const struct folder *f, const char *metric, const struct curve *v, size_t n) {
    struct val *list = val_list();
    struct shelf_row **row = X_NEW(struct shelf_row *, n + 1);
    bool *done = X_NEW(bool, n + 1);
    for (size_t i = 0; i < n; i++) row[i] = row_read(f[i].dir, f[i].name);
    for (size_t i = 0; i < n; i++) {
        int member[CURVES_MAX];
        size_t m = 0;
        for (size_t k = i; k < n && !done[i]; k++) {
            if (k != i && (done[k] || !same_but_seed(row_run(row[i]), row_run(row[k])))) continue;
            member[m++] = (int)k;
        }
        for (size_t k = 0; k < m; k++) done[member[k]] = true;
        if (m) val_push(list, joined(f, metric, v, member, m));
    }
    for (size_t i = 0; i < n; i++) row_unref(row[i]);
    free(row);
    free(done);
    return list;
}

static int curves_run(struct call *c, const void *args, struct err *e) {
    const struct curves_args *a = args;
    struct curve v[CURVES_MAX] = {{NULL, 0, 0}};
    size_t n = 0;
    int rc = 0, k = 0;
    if (val_len(a->runs) > CURVES_MAX) return err_code(e, ERR_USAGE, "curves: at most %d runs at once, not %zu", CURVES_MAX, val_len(a->runs));
    struct val *names = resolve(c, a->runs, a->metric, e);
    if (!names) return -1;
    bool none = val_len(a->runs) && !val_len(names); /* there is no previous run */
    struct folder *f = none ? NULL : folders_open(c, names, 1, &n, e);
    val_free(names);
    if (!f && !none) return -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = curve_read(&f[i], a->metric, (size_t)a->points, &v[i], e);
        if (v[i].k > k) k = v[i].k;
    }
    struct val *list = NULL;
    for (size_t i = 0; i < n && rc == 0; i++) coarser(&v[i], k);
    if (rc == 0) list = a->seeds ? groups(f, a->metric, v, n) : val_list();
    for (size_t i = 0; i < n && rc == 0 && !a->seeds; i++) val_push(list, alone(&f[i], a->metric, &v[i]));
    if (rc == 0) call_result(c, list);
    for (size_t i = 0; i < n; i++) free(v[i].b);
    folders_close(f, n);
    return rc;
}

static const struct arg curves_table[] = {{"runs", "names of runs, or previous, or best; the newest without", NULL, NULL, ARG_TABLE,
                                              offsetof(struct curves_args, runs), ARG_POSITIONAL | ARG_REST, .source = SRC_RUN},
    {"metric", "which metric", NULL, NULL, ARG_STR, offsetof(struct curves_args, metric), ARG_REQUIRED, .source = SRC_METRIC},
    {"points", "at most so many columns of 2^k steps", NULL, "256", ARG_INT, offsetof(struct curves_args, points), 0, 0, 1, 1024},
    {"seeds", "join the runs that differ only in the seed: mean, min to max, and the 95 % interval of the mean, lo to hi", NULL, "false", ARG_BOOL,
        offsetof(struct curves_args, seeds)},
    {0}};
const struct cmd cmd_curves = {{"curves", "one metric of several runs as columns with mean, min, max, count",
                                   "hone.curves{\"fashion-1\", \"fashion-2\", metric=\"loss\"}", curves_table, sizeof(struct curves_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING | CMD_WATCHER, curves_run, NULL};
