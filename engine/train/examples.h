/* What an evaluation shows besides metrics: the rows it got most wrong, with text or picture, how far probabilities can be trusted, thresholds. Bounded in
 * size. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_EXAMPLES_H
#define HONE_ENGINE_TRAIN_EXAMPLES_H

#include "datasets/dataset.h"
#include "engine/metrics/metric.h"

struct run;
struct examples;
struct examples *examples_new(int n_class); /* 0: regression */
void examples_free(struct examples *x);
void examples_clear(struct examples *x);
/* Rows `first` .. of the part: logits (rows, n_class) and labels, or with regression guesses and values (rows, width). */
void examples_logits(struct examples *x, const float *logits, const int32_t *label, int64_t rows, int64_t first);
void examples_values(struct examples *x, const float *guess, const float *y, int64_t rows, int64_t width, int64_t first);
/* Adds to the report of a run:
 * examples = {{i=, y=, g=, p=, q=, loss=, text=, picture=}, ..}, the worst first, then some of each confused cell that had none yet. i: row of the part;
 * y, g: truth and answer (class numbers from 0; values with regression); p, q: probability of the answer and of the truth;
 * picture = {h=, w=, pixels=} with a hexadecimal digit a pixel;
 * calibration = {{n=, conf=, acc=}, ..} of CALIBRATION_BINS equal bins of the answer's probability;
 * thresholds = {pos={..}, neg={..}}, two classes only: rows of class 1 and 0 by probability of class 1 in THRESHOLD_BINS equal bins. */
enum { CALIBRATION_BINS = 15, THRESHOLD_BINS = 100 };
void examples_report(struct examples *x, const struct part *p, struct val *report);
/* Confusion of many classes, for reports that are copied often: sums = {rows={..}, cols={..}, hits={..}}, cells = "i j n i j n .." of the largest,
 * cells_left how many are not among them. Up to 200 classes: confusion as a list of rows. */
void examples_confusion(const struct tally *t, struct val *report);
/* The run's report "eval"; the one before it becomes "eval_before" (without examples). */
void examples_publish(struct run *r, struct val *report_take);

#endif
