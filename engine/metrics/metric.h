/* Metrics: a tally collects what an evaluation saw, const rows turn it into numbers. Definitions are those of scikit-learn with
 * zero_division=0: a class that is neither a label nor a guess does not take part in macro means; one that has no labels but was
 * guessed counts with 0. Where a number does not exist it is NaN, and reports leave it out. Engine thread. */
#ifndef HONE_ENGINE_METRICS_METRIC_H
#define HONE_ENGINE_METRICS_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/args.h"
#include "src/base/val.h"

#define TALLY_TABLE 2048
struct tally {
    int n_class; /* 0: regression */
    int64_t n; /* examples (classification: with a label in range) */
    double loss, weight; /* sums */
    int64_t *confusion; /* (n_class, n_class): row = label, column = guess; NULL with more than TALLY_TABLE classes, and what comes from it is NaN */
    int64_t hits;
    int64_t top5; /* labels among the five largest */
    double hinge; /* sum over the rows that came with logits */
    int64_t scored; /* those rows */
    bool sequence; /* an example is a sequence of labels: n and hits count whole ones */
    int64_t edits, labels; /* sequences: insertions, deletions and substitutions in all, labels in all */
    /* probabilities: one row an example, kept only if asked for (tally_init keep > 0 rows) */
    float *prob; /* (keep, n_class) */
    int32_t *label;
    int64_t keep, kept;
    /* regression: sums over all values */
    int64_t values;
    double err2, err1, sum, sum2; /* of (guess - y)^2, |guess - y|, (y - y0), (y - y0)^2 */
    double y0;
};
void tally_init(struct tally *t, int n_class, int64_t keep); /* keep: rows of probabilities to keep for auroc, ap, brier ... 0: none */
void tally_release(struct tally *t);
void tally_clear(struct tally *t);
/* rows of logits (n, n_class) with labels (n); labels outside 0..n_class-1 are skipped. Ties: the first largest. guess: NULL or gets n guesses. */
void tally_logits(struct tally *t, const float *logits, const int32_t *label, int64_t n, int32_t *guess);
void tally_guess(struct tally *t, int32_t label, int32_t guess);
void tally_sequence(struct tally *t, bool right, int64_t edits, int64_t labels);
void tally_values(struct tally *t, const float *guess, const float *y, int64_t n);

/* What a metric is of. */
enum { METRIC_CLASSES = 1, METRIC_VALUES = 2, METRIC_SEQUENCES = 4, METRIC_PROBABILITIES = 8 };
struct metric {
    const char *name, *help;
    int of; /* with METRIC_PROBABILITIES: a number only where the tally keeps them */
    bool higher; /* higher is better */
    double (*value)(const struct tally *t); /* NaN: does not exist here */
};
extern const struct metric metrics[]; /* ends with name == NULL */
const struct kind *const *metric_kinds(void); /* their names and helps, NULL-terminated */
const struct metric *metric_find(const char *name); /* also with a prefix: val_acc, test_loss */

/* Wilson score interval of k successes in n at 95 % (Wilson 1927; z = 1.959963984540054). n = 0: 0 and 1. */
void metric_wilson(double k, double n, double *lo, double *hi);
/* Exact two-sided McNemar test on discordant counts b, c: min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2). */
double metric_mcnemar(int64_t b, int64_t c);
/* Everything that exists, by name, plus acc_lo, acc_hi. */
struct val *tally_values_val(const struct tally *t);
/* {{class=, support=, precision=, recall=, f1=}...}; classes without labels and guesses have nil numbers. names may be NULL. */
struct val *tally_classes(const struct tally *t, char *const *names);
struct val *tally_confusion(const struct tally *t); /* list of rows */

#endif
