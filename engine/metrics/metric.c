/* Counting and the metric rows. */
#include "config.h"

#include "engine/metrics/metric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { METRICS = 64 };

void tally_init(struct tally *t, int n_class, int64_t keep) {
    *t = (struct tally){.n_class = n_class, .keep = n_class ? keep : 0};
    if (n_class && n_class <= TALLY_TABLE) t->confusion = X_NEW(int64_t, (size_t)n_class * (size_t)n_class);
    if (t->keep) {
        t->prob = X_NEW(float, (size_t)keep *(size_t)n_class);
        t->label = X_NEW(int32_t, (size_t)keep);
    }
}

void tally_release(struct tally *t) {
    free(t->confusion);
    free(t->prob);
    free(t->label);
    *t = (struct tally){0};
}

void tally_clear(struct tally *t) {
    struct tally old = *t;
    if (t->confusion) memset(t->confusion, 0, (size_t)t->n_class * (size_t)t->n_class * sizeof *t->confusion);
    *t = (struct tally){.n_class = old.n_class, .sequence = old.sequence, .confusion = old.confusion, .prob = old.prob, .label = old.label, .keep = old.keep};
}

void tally_guess(struct tally *t, int32_t label, int32_t guess) {
    if (t->confusion) t->confusion[(int64_t)label * t->n_class + guess]++;
    t->hits += label == guess;
    t->n++;
}

static int32_t largest(const float *z, int c) {
    int32_t best = 0;
    for (int32_t i = 1; i < c; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

static void keep_probabilities(struct tally *t, const float *z, int32_t label) {
    if (t->kept == t->keep) return;
    float *p = t->prob + t->kept * t->n_class;
    double m = z[largest(z, t->n_class)], s = 0;
    for (int i = 0; i < t->n_class; i++) s += exp((double)z[i] - m);
    for (int i = 0; i < t->n_class; i++) p[i] = (float)(exp((double)z[i] - m) / s);
    t->label[t->kept++] = label;
}

/* Crammer and Singer 2001; of two classes that of their difference. */
static double hinge(const float *z, int c, int32_t y, int32_t guess) {
    double other = guess == y ? -INFINITY : (double)z[guess];
    for (int32_t i = 0; i < c && guess == y; i++)
        if (i != y && (double)z[i] > other) other = (double)z[i];
    return c > 1 ? fmax(0, 1 - (double)z[y] + other) : 0;
}

void tally_logits(struct tally *t, const float *logits, const int32_t *label, int64_t n, int32_t *guess) {
    for (int64_t r = 0; r < n; r++) {
        const float *z = logits + r * t->n_class;
        int32_t y = label[r], g = largest(z, t->n_class), before = 0;
        if (guess) guess[r] = g;
        if (y < 0 || y >= t->n_class) continue;
        tally_guess(t, y, g);
        for (int32_t i = 0; i < t->n_class && before < 5; i++) before += i != y && (z[i] > z[y] || (z[i] == z[y] && i < y));
        t->top5 += before < 5;
        t->hinge += hinge(z, t->n_class, y, g);
        t->scored++;
        if (t->keep) keep_probabilities(t, z, y);
    }
}

void tally_sequence(struct tally *t, bool right, int64_t edits, int64_t labels) {
    t->n++;
    t->hits += right;
    t->edits += edits;
    t->labels += labels;
}

void tally_values(struct tally *t, const float *guess, const float *y, int64_t n) {
    if (t->values == 0 && n > 0) t->y0 = (double)y[0]; /* sums around one value, so that a large mean costs no digits */
    for (int64_t i = 0; i < n; i++) {
        double d = (double)guess[i] - (double)y[i], v = (double)y[i] - t->y0;
        t->err2 += d * d;
        t->err1 += fabs(d);
        t->sum += v;
        t->sum2 += v * v;
    }
    t->values += n;
}

/* ---- counts of one class ---- */
struct counts {
    double tp, label, guess;
};
static struct counts class_counts(const struct tally *t, int c) {
    struct counts k = {(double)t->confusion[(int64_t)c * t->n_class + c], 0, 0};
    for (int i = 0; i < t->n_class; i++) {
        k.label += (double)t->confusion[(int64_t)c * t->n_class + i];
        k.guess += (double)t->confusion[(int64_t)i * t->n_class + c];
    }
    return k;
}

static double share(double a, double b) { return b > 0 ? a / b : 0; }

enum part { PRECISION, RECALL, F1, JACCARD };
static double class_value(struct counts k, enum part what) {
    if (what == JACCARD) return share(k.tp, k.label + k.guess - k.tp);
    return what == PRECISION ? share(k.tp, k.guess) : what == RECALL ? share(k.tp, k.label) : share(2 * k.tp, k.label + k.guess);
}

static double macro(const struct tally *t, enum part what) {
    double sum = 0, n = 0;
    if (!t->confusion || !t->n) return NAN;
    for (int c = 0; c < t->n_class; c++) {
        struct counts k = class_counts(t, c);
        if (k.label + k.guess == 0) continue;
        sum += class_value(k, what);
        n++;
    }
    return sum / n;
}

static double weighted(const struct tally *t, enum part what) {
    double sum = 0;
    if (!t->confusion || !t->n) return NAN;
    for (int c = 0; c < t->n_class; c++) {
        struct counts k = class_counts(t, c);
        sum += k.label * class_value(k, what);
    }
    return sum / (double)t->n;
}

static double hits(const struct tally *t) { return (double)t->hits; }

static double m_loss(const struct tally *t) { return t->weight > 0 ? t->loss / t->weight : NAN; }
static double m_acc(const struct tally *t) { return (t->n_class || t->sequence) && t->n ? hits(t) / (double)t->n : NAN; }
static double m_micro(const struct tally *t) { return t->n_class ? m_acc(t) : NAN; }
static double m_ler(const struct tally *t) { return t->sequence && t->labels ? (double)t->edits / (double)t->labels : NAN; }
static double m_top5(const struct tally *t) { return t->n_class > 5 && t->n ? (double)t->top5 / (double)t->n : NAN; }
static double m_precision_macro(const struct tally *t) { return macro(t, PRECISION); }
static double m_recall_macro(const struct tally *t) { return macro(t, RECALL); }
static double m_f1_macro(const struct tally *t) { return macro(t, F1); }
static double m_jaccard_macro(const struct tally *t) { return macro(t, JACCARD); }
static double m_hamming(const struct tally *t) { return t->n_class && t->n ? 1 - m_acc(t) : NAN; }
static double m_hinge(const struct tally *t) { return t->n_class > 1 && t->n && t->scored == t->n ? t->hinge / (double)t->n : NAN; }
/* The second of two classes is the positive one. */
static double m_specificity(const struct tally *t) { return t->n_class == 2 && t->n ? class_value(class_counts(t, 0), RECALL) : NAN; }
static double m_npv(const struct tally *t) { return t->n_class == 2 && t->n ? class_value(class_counts(t, 0), PRECISION) : NAN; }
static double m_precision_weighted(const struct tally *t) { return weighted(t, PRECISION); }
static double m_recall_weighted(const struct tally *t) { return weighted(t, RECALL); }
static double m_f1_weighted(const struct tally *t) { return weighted(t, F1); }

/* Cohen 1960: (po - pe) / (1 - pe) */
static double m_kappa(const struct tally *t) {
    double pe = 0, n = (double)t->n;
    if (!t->confusion || !t->n) return NAN;
    for (int c = 0; c < t->n_class; c++) {
        struct counts k = class_counts(t, c);
        pe += k.label / n * (k.guess / n);
    }
    return pe < 1 ? (m_acc(t) - pe) / (1 - pe) : NAN;
}

/* Multi-class Matthews correlation (Gorodkin 2004); 0 where a side is constant, as scikit-learn. */
static double m_mcc(const struct tally *t) {
    double n = (double)t->n, cross = 0, labels = 0, guesses = 0;
    if (!t->confusion || !t->n) return NAN;
    for (int c = 0; c < t->n_class; c++) {
        struct counts k = class_counts(t, c);
        cross += k.label * k.guess;
        labels += k.label * k.label;
        guesses += k.guess * k.guess;
    }
    double d = sqrt((n * n - guesses) * (n * n - labels));
    return d > 0 ? (hits(t) * n - cross) / d : 0;
}

static double m_mse(const struct tally *t) { return t->values ? t->err2 / (double)t->values : NAN; }
static double m_mae(const struct tally *t) { return t->values ? t->err1 / (double)t->values : NAN; }
static double m_rmse(const struct tally *t) { return sqrt(m_mse(t)); }

static double m_r2(const struct tally *t) {
    double n = (double)t->values, ss = t->sum2 - (n > 0 ? t->sum * t->sum / n : 0);
    if (t->values < 2) return NAN;
    return ss > 0 ? 1 - t->err2 / ss : t->err2 == 0 ? 1 : 0;
}

/* ---- from kept probabilities ---- */
struct scored {
    float p;
    bool hit;
};
static int by_score(const void *a, const void *b) {
    float x = ((const struct scored *)a)->p, y = ((const struct scored *)b)->p;
    return (x < y) - (x > y);
}

static struct scored *one_against_rest(const struct tally *t, int c, int64_t *pos) {
    struct scored *s = X_NEW(struct scored, (size_t)t->kept);
    *pos = 0;
    for (int64_t i = 0; i < t->kept; i++) {
        s[i] = (struct scored){t->prob[i * t->n_class + c], t->label[i] == c};
        *pos += s[i].hit;
    }
    qsort(s, (size_t)t->kept, sizeof *s, by_score);
    return s;
}

/* Area under the ROC curve by the trapezoid rule over distinct scores; average precision: sum (R_i - R_{i-1}) P_i. */
static double curve(const struct tally *t, int c, bool precision) {
    int64_t pos, tp = 0, fp = 0;
    struct scored *s = one_against_rest(t, c, &pos);
    double area = 0, neg = (double)(t->kept - pos);
    for (int64_t i = 0; i < t->kept;) {
        int64_t tp0 = tp, fp0 = fp;
        float p = s[i].p;
        for (; i < t->kept && s[i].p == p; i++) s[i].hit ? tp++ : fp++;
        if (precision) area += (double)(tp - tp0) / (double)pos * ((double)tp / (double)(tp + fp));
        else area += (double)(fp - fp0) / neg * ((double)(tp + tp0) / 2 / (double)pos);
    }
    free(s);
    return precision ? (pos > 0 ? area : NAN) : pos > 0 && neg > 0 ? area : NAN;
}

/* Binary: of class 1. More classes: mean of one against the rest; not there if a class is missing. */
static double curves(const struct tally *t, bool precision) {
    double sum = 0;
    if (t->kept < t->n || !t->kept || t->n_class < 2) return NAN;
    if (t->n_class == 2) return curve(t, 1, precision);
    for (int c = 0; c < t->n_class; c++) sum += curve(t, c, precision);
    return sum / t->n_class;
}

static double m_auroc(const struct tally *t) { return curves(t, false); }
static double m_ap(const struct tally *t) { return curves(t, true); }

static double m_log_loss(const struct tally *t) {
    double sum = 0;
    if (t->kept < t->n || !t->kept) return NAN;
    for (int64_t i = 0; i < t->kept; i++)
        sum -= log(fmax((double)t->prob[i * t->n_class + t->label[i]], 1.1920928955078125e-07)); /* clipped at the eps of float32, the type of the scores */
    return sum / (double)t->kept;
}

/* Binary: mean (p1 - y)^2; more classes: mean over rows of the sum of squares (Brier 1950). */
static double m_brier(const struct tally *t) {
    double sum = 0;
    if (t->kept < t->n || !t->kept) return NAN;
    for (int64_t i = 0; i < t->kept; i++)
        for (int c = t->n_class == 2 ? 1 : 0; c < t->n_class; c++) {
            double d = (double)t->prob[i * t->n_class + c] - (t->label[i] == c);
            sum += d * d;
        }
    return sum / (double)t->kept;
}

/* Calibration error over 15 equal bins of the top confidence (Guo et al. 2017): l1, or the largest of a bin. */
static double calibration(const struct tally *t, bool largest_one) {
    double conf[15] = {0}, acc[15] = {0}, n[15] = {0}, e = 0;
    if (t->kept < t->n || !t->kept) return NAN;
    for (int64_t i = 0; i < t->kept; i++) {
        const float *p = t->prob + i * t->n_class;
        int32_t g = largest(p, t->n_class);
        int b = (int)ceil((double)p[g] * 15) - 1;
        b = b < 0 ? 0 : b > 14 ? 14 : b;
        conf[b] += (double)p[g];
        acc[b] += g == t->label[i];
        n[b]++;
    }
    for (int b = 0; b < 15 && largest_one; b++) e = n[b] > 0 ? fmax(e, fabs(acc[b] - conf[b]) / n[b]) : e;
    for (int b = 0; b < 15 && !largest_one; b++) e += fabs(acc[b] - conf[b]) / (double)t->kept;
    return e;
}
static double m_ece(const struct tally *t) { return calibration(t, false); }
static double m_mce(const struct tally *t) { return calibration(t, true); }

const struct kind *const *metric_kinds(void) {
    static struct kind kind[METRICS];
    static const struct kind *list[METRICS + 1];
    static char example[METRICS][80];
    size_t n = 0;
    for (; metrics[n].name; n++) {
        if (n == METRICS) BUG("there are more than %d metrics", METRICS);
        snprintf(example[n], sizeof example[n], "run = hone.train{ model = m, data = d, metric = \"%s\" }", metrics[n].name);
        kind[n] = (struct kind){metrics[n].name, metrics[n].help, example[n], NULL, 0};
        list[n] = &kind[n];
    }
    list[n] = NULL;
    return list;
}

const struct metric *metric_find(const char *name) {
    for (int i = 0; metrics[i].name; i++)
        if (strcmp(metrics[i].name, name) == 0) return &metrics[i];
    static const char *const prefix[] = {"val_", "test_", "train_"};
    for (size_t p = 0; p < LEN(prefix); p++)
        if (strncmp(name, prefix[p], strlen(prefix[p])) == 0) return metric_find(name + strlen(prefix[p]));
    return NULL;
}

void metric_wilson(double k, double n, double *lo, double *hi) {
    const double z = 1.959963984540054;
    if (n <= 0) {
        *lo = 0, *hi = 1;
        return;
    }
    double p = k / n, d = 1 + z * z / n, mid = (p + z * z / (2 * n)) / d, half = z / d * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *lo = fmax(0, mid - half);
    *hi = fmin(1, mid + half);
}

double metric_mcnemar(int64_t b, int64_t c) {
    int64_t n = b + c, k = b < c ? b : c;
    double p = 0;
    for (int64_t i = 0; i <= k; i++) p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * M_LN2);
    return n == 0 ? 1 : fmin(1, 2 * p);
}

struct val *tally_values_val(const struct tally *t) {
    struct val *v = val_table();
    for (int i = 0; metrics[i].name; i++) {
        double x = metrics[i].value(t);
        if (!isnan(x) || (i == 0 && t->weight > 0)) val_set_num(v, metrics[i].name, x);
    }
    if ((t->n_class || t->sequence) && t->n) {
        double lo, hi;
        metric_wilson(hits(t), (double)t->n, &lo, &hi);
        val_set_num(v, "acc_lo", lo);
        val_set_num(v, "acc_hi", hi);
    }
    val_set_int(v, "n", t->n_class || t->sequence ? t->n : t->values);
    return v;
}

struct val *tally_classes(const struct tally *t, char *const *names) {
    struct val *list = val_list();
    for (int c = 0; t->confusion && c < t->n_class; c++) {
        struct val *r = val_table();
        struct counts k = class_counts(t, c);
        if (names && names[c]) val_set_str(r, "class", names[c]);
        else val_set_int(r, "class", c);
        val_set_int(r, "support", (int64_t)k.label);
        if (k.label + k.guess > 0) {
            val_set_num(r, "precision", class_value(k, PRECISION));
            val_set_num(r, "recall", class_value(k, RECALL));
            val_set_num(r, "f1", class_value(k, F1));
        }
        val_push(list, r);
    }
    return list;
}

struct val *tally_confusion(const struct tally *t) {
    struct val *list = val_list();
    for (int r = 0; t->confusion && r < t->n_class; r++) {
        struct val *row = val_list();
        for (int c = 0; c < t->n_class; c++) val_push(row, val_int(t->confusion[(int64_t)r * t->n_class + c]));
        val_push(list, row);
    }
    return list;
}

const struct metric metrics[] = {
    {"loss", "mean loss", METRIC_CLASSES | METRIC_VALUES | METRIC_SEQUENCES, false, m_loss},
    {"acc", "share of right guesses", METRIC_CLASSES | METRIC_SEQUENCES, true, m_acc},
    {"ler", "label error rate of sequences: edits that mend the guesses, over the labels", METRIC_SEQUENCES, false, m_ler},
    {"top5", "share of labels among the five largest", METRIC_CLASSES, true, m_top5},
    {"precision_macro", "mean precision of the classes", METRIC_CLASSES, true, m_precision_macro},
    {"recall_macro", "mean recall of the classes", METRIC_CLASSES, true, m_recall_macro},
    {"f1_macro", "mean F1 of the classes", METRIC_CLASSES, true, m_f1_macro},
    {"precision_micro", "precision over all guesses: accuracy", METRIC_CLASSES, true, m_micro},
    {"recall_micro", "recall over all labels: accuracy", METRIC_CLASSES, true, m_micro},
    {"f1_micro", "F1 over all counts: accuracy", METRIC_CLASSES, true, m_micro},
    {"precision_weighted", "precision weighted by support", METRIC_CLASSES, true, m_precision_weighted},
    {"recall_weighted", "recall weighted by support", METRIC_CLASSES, true, m_recall_weighted},
    {"f1_weighted", "F1 weighted by support", METRIC_CLASSES, true, m_f1_weighted},
    {"jaccard_macro", "mean Jaccard index of the classes: right ones over all that are or were said to be of the class", METRIC_CLASSES, true, m_jaccard_macro},
    {"specificity", "two classes: share of the rows of the first that are told as such", METRIC_CLASSES, true, m_specificity},
    {"npv", "two classes: negative predictive value, share of the answers for the first that are right", METRIC_CLASSES, true, m_npv},
    {"hamming", "share of wrong guesses", METRIC_CLASSES, false, m_hamming},
    {"hinge", "mean hinge loss of the outputs (Crammer and Singer)", METRIC_CLASSES, false, m_hinge},
    {"auroc", "area under the ROC curve, one against the rest", METRIC_CLASSES | METRIC_PROBABILITIES, true, m_auroc},
    {"ap", "average precision, one against the rest", METRIC_CLASSES | METRIC_PROBABILITIES, true, m_ap},
    {"mcc", "Matthews correlation", METRIC_CLASSES, true, m_mcc},
    {"kappa", "Cohen's kappa", METRIC_CLASSES, true, m_kappa},
    {"log_loss", "mean negative log probability of the label", METRIC_CLASSES | METRIC_PROBABILITIES, false, m_log_loss},
    {"brier", "mean squared error of the probabilities", METRIC_CLASSES | METRIC_PROBABILITIES, false, m_brier},
    {"ece", "expected calibration error, 15 bins", METRIC_CLASSES | METRIC_PROBABILITIES, false, m_ece},
    {"mce", "largest calibration error of 15 bins", METRIC_CLASSES | METRIC_PROBABILITIES, false, m_mce},
    {"mse", "mean squared error", METRIC_VALUES, false, m_mse},
    {"mae", "mean absolute error", METRIC_VALUES, false, m_mae},
    {"rmse", "root of the mean squared error", METRIC_VALUES, false, m_rmse},
    {"r2", "share of the variance explained", METRIC_VALUES, true, m_r2},
    {NULL},
};
