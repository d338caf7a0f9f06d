/* Picking a threshold and counting with it. */
#include "config.h"

#include "engine/metrics/threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

static int asked(const struct threshold *t) { return !isnan(t->at) + !isnan(t->recall) + !isnan(t->precision) + (!isnan(t->fp) || !isnan(t->fn)); }

int threshold_init(struct threshold *t, const struct val *v, struct err *e) {
    struct val *table = v->type == VAL_TABLE ? NULL : val_table();
    *t = (struct threshold){0};
    if (table) val_push(table, val_copy(v));
    int rc = args_parse(&threshold_kind, table ? table : v, t, e);
    val_free(table);
    if (rc < 0) return -1;
    if (asked(t) == 1 && isnan(t->fp) == isnan(t->fn)) return 0;
    threshold_release(t);
    return err_code(e, ERR_USAGE, "threshold: give one of a number, {recall=0.95}, {precision=0.9} and {fp=1, fn=5}, the costs of a false alarm and of a miss");
}

void threshold_release(struct threshold *t) { args_release(&threshold_kind, t); }

bool threshold_given(const struct threshold *t) { return isnan(t->recall) && isnan(t->precision) && isnan(t->fp); }

int threshold_class(struct threshold *t, int n_class, const char *const *names, struct err *e) {
    if (n_class != 2) return err_code(e, ERR_USAGE, "threshold goes with two classes, but the model has %d", n_class);
    t->cls = 1;
    if (!t->positive) return 0;
    for (t->cls = 0; t->cls < 2; t->cls++)
        if (names && names[t->cls] && strcmp(names[t->cls], t->positive) == 0) return 0;
    return err_code(e, ERR_USAGE, "threshold: positive=\"%.60s\" is no class; there are \"%.60s\" and \"%.60s\"", t->positive, names ? names[0] : "0",
        names ? names[1] : "1");
}

/* ---- picking ---- */

struct scored {
    float p;
    bool hit;
};
static int by_score(const void *a, const void *b) { /* largest first */
    float x = ((const struct scored *)a)->p, y = ((const struct scored *)b)->p;
    return (x < y) - (x > y);
}

struct cut { /* everything from row `end` of the sorted ones on is negative */
    int64_t end, tp, fp;
};
/* Is b better than the best so far? */
static bool better(const struct threshold *t, const struct cut *best, const struct cut *b, int64_t pos) {
    double flagged = (double)(b->tp + b->fp);
    if (!isnan(t->recall)) return !best && (double)b->tp >= t->recall * (double)pos * (1 - 1e-12);
    if (!isnan(t->precision)) return flagged > 0 && (double)b->tp >= t->precision * flagged * (1 - 1e-12);
    double cost = t->fp * (double)b->fp + t->fn * (double)(pos - b->tp);
    return !best || cost < t->fp * (double)best->fp + t->fn * (double)(pos - best->tp);
}

static int no_cut(const struct threshold *t, const struct scored *s, int64_t n, const char *part, struct err *e) {
    double most = 0;
    int64_t tp = 0;
    for (int64_t i = 0; i < n; i++) {
        tp += s[i].hit;
        if ((i + 1 == n || s[i + 1].p != s[i].p) && (double)tp / (double)(i + 1) > most) most = (double)tp / (double)(i + 1);
    }
    return err_set(e, "no threshold has a precision of %g on the %s part: the best has %.4f", t->precision, part, most);
}

int threshold_pick(struct threshold *t, const struct tally *rows, const char *part, struct err *e) {
    struct scored *s = X_NEW(struct scored, (size_t)rows->kept + 1);
    struct cut best = {0}, now = {0};
    bool found = false;
    int64_t n = rows->kept, pos = 0;
    for (int64_t i = 0; i < n; i++) {
        s[i] = (struct scored){rows->prob[i * rows->n_class + t->cls], rows->label[i] == t->cls};
        pos += s[i].hit;
    }
    if (n) qsort(s, (size_t)n, sizeof *s, by_score);
    int rc = n < rows->n ? err_set(e, "threshold needs the probabilities of all rows of the %s part: take fewer of them", part)
             : pos == 0  ? err_set(e, "a threshold cannot be picked: the %s part has no rows of the positive class", part)
                         : 0;
    for (int64_t i = 0; rc == 0 && i <= n; i++) {
        if (i > 0) s[i - 1].hit ? now.tp++ : now.fp++;
        now.end = i;
        bool between = i == n || (i == 0 ? s[0].p < 1 : s[i].p != s[i - 1].p); /* never positive has a threshold below 1 */
        if (between && better(t, found ? &best : NULL, &now, pos)) best = now, found = true;
    }
    if (rc == 0 && !found) rc = no_cut(t, s, n, part, e);
    if (rc == 0) {
        double above = best.end > 0 ? (double)s[best.end - 1].p : 1, below = best.end < n ? (double)s[best.end].p : 0;
        t->at = (above + below) / 2;
    }
    free(s);
    return rc;
}

/* ---- counting ---- */

int threshold_tally(const struct threshold *t, const struct tally *rows, struct tally *out, struct err *e) {
    if (rows->kept < rows->n) return err_set(e, "threshold needs the probabilities of all rows: take fewer of them");
    *out = *rows;
    out->confusion = X_NEW(int64_t, 4);
    out->n = out->hits = 0;
    for (int64_t i = 0; i < rows->kept; i++) tally_guess(out, rows->label[i], (double)rows->prob[i * rows->n_class + t->cls] >= t->at ? t->cls : 1 - t->cls);
    return 0;
}

void threshold_untally(struct tally *out) {
    free(out->confusion);
    out->confusion = NULL;
}

double threshold_cost(const struct threshold *t, const struct tally *counted) {
    int p = t->cls, o = 1 - t->cls;
    if (isnan(t->fp) || !counted->n) return NAN;
    return (t->fp * (double)counted->confusion[o * 2 + p] + t->fn * (double)counted->confusion[p * 2 + o]) / (double)counted->n;
}

void threshold_say(const struct threshold *t, struct buf *b) {
    if (!isnan(t->recall)) buf_addf(b, "recall %g", t->recall);
    else if (!isnan(t->precision)) buf_addf(b, "precision %g", t->precision);
    else if (!isnan(t->fp)) buf_addf(b, "cost, fp %g and fn %g", t->fp, t->fn);
}

#define A(name, help, type, field, flags, hi) \
    { name, help, NULL, NULL, type, offsetof(struct threshold, field), flags, 0, 0, hi }
static const struct arg threshold_arg[] = {
    A("at", "the probability itself", ARG_NUM, at, ARG_POSITIONAL, 1),
    A("recall", "share of the positive rows to find, with as few false alarms as can be", ARG_NUM, recall, 0, 1),
    A("precision", "share of the alarms that are to be right, finding as many rows as can be", ARG_NUM, precision, 0, 1),
    A("fp", "cost of a false alarm: the threshold of the least cost, with fn", ARG_NUM, fp, 0, 1e12),
    A("fn", "cost of a positive row that is missed", ARG_NUM, fn, 0, 1e12),
    A("positive", "the class that is looked for; the second if not given", ARG_STR, positive, 0, 0),
    {NULL},
};
const struct kind threshold_kind = {"threshold", "from which probability on the answer is the positive one of two classes",
    "rep = hone.eval{ model = m, data = d, threshold = { recall = 0.95 } }", threshold_arg, sizeof(struct threshold)};
