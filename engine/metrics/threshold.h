/* Two classes: from which probability on the answer is the positive class. A number as given, or picked on rows so that recall, precision or cost are as
 * asked. Engine thread. */
#ifndef HONE_ENGINE_METRICS_THRESHOLD_H
#define HONE_ENGINE_METRICS_THRESHOLD_H

#include "engine/metrics/metric.h"

struct threshold {
    double at, recall, precision, fp, fn; /* as asked; NAN: not */
    char *positive; /* a class; NULL: the second */
    int cls; /* its number; threshold_class */
};
extern const struct kind threshold_kind;
/* v: a number, or a table {recall=0.95}, {precision=0.9}, {fp=1, fn=5}, {0.3, positive="yes"}. */
int threshold_init(struct threshold *t, const struct val *v, struct err *e);
void threshold_release(struct threshold *t);
bool threshold_given(const struct threshold *t); /* a number: nothing is picked */
/* names: of the classes, or NULL. */
int threshold_class(struct threshold *t, int n_class, const char *const *names, struct err *e);
/* Sets at, by the probabilities that the tally kept; part: for messages. The largest that reaches the recall, the smallest that keeps the precision, the
 * one of the least cost. It lies half way between two probabilities, so that the last bit of one decides nothing. */
int threshold_pick(struct threshold *t, const struct tally *rows, const char *part, struct err *e);
/* rows counted again with it: confusion and hits; the probabilities are borrowed. threshold_untally releases what is its own. */
int threshold_tally(const struct threshold *t, const struct tally *rows, struct tally *out, struct err *e);
void threshold_untally(struct tally *out);
double threshold_cost(const struct threshold *t, const struct tally *counted); /* of a row; NAN: no costs were given */
void threshold_say(const struct threshold *t, struct buf *b); /* what it was picked for: "recall 0.95" */

#endif
