/* Compressors: const rows of functions from model to model. A result is an ordinary model: a description and weights, so it is saved, evaluated, trained
 * (as far as its parts allow) and compressed again like any other. A recipe is a list of them; each step is measured against the model before it on this
 * machine. Engine thread. */
#ifndef HONE_ENGINE_COMPRESS_COMPRESS_H
#define HONE_ENGINE_COMPRESS_COMPRESS_H

#include "engine/compress/carry.h"
#include "engine/compress/measure.h"
#include "src/base/args.h"

struct squeeze { /* what a compressor is given beside the model and its arguments */
    const struct bed *bed; /* rows, threads and clock to time with */
    struct val *note; /* a table: what it did, for the report; claim: what it does not do ("no speed-up") */
    struct index_map *map; /* where values were removed: which of the old ones are left; empty: all */
};
struct compressor {
    struct kind kind; /* first */
    const char *group; /* "quant", "prune": the Lua table it is in */
    struct model *(*run)(const struct model *m, const void *args, struct squeeze *s, struct err *e); /* a new model */
};
extern const struct compressor *const compressors[]; /* NULL-terminated */
const struct kind *const *compressor_kinds(const char *group);

/* A step of a recipe, parsed: quant.int8{...} as a table {quant="int8", ...}, or its name as text. */
struct recipe_step {
    const struct compressor *row;
    void *args;
    char name[48];
};
struct recipe {
    struct recipe_step *step;
    int n;
};
int recipe_init(struct recipe *r, const struct val *v, struct err *e); /* v: one step or a list */
void recipe_release(struct recipe *r);

struct compress_spec {
    const struct model *model; /* borrowed */
    const struct recipe *recipe;
    const struct loss_spec *loss;
    struct bed bed;
    const char *data, *split; /* names, for the report */
    double max_drop; /* of accuracy (r2 without classes) against the model given; NAN: no goal */
    bool force; /* keeps steps that made the model slower */
    void (*said)(void *ctx, const struct val *step); /* a row of the report is there; may be NULL */
};
struct compress_result {
    struct model *model; /* the best: after the last step that was kept; the caller's */
    struct val *report; /* {steps = {{name=, kept=, ...}, ..}, ...}; the caller's */
    struct val *before, *after; /* metrics and confusion of the model given and of the best; the caller's */
    bool met; /* no step was left out because of max_drop */
};
int compress_run(const struct compress_spec *s, struct compress_result *out, struct err *e);
void report_table(const struct val *report, struct buf *out); /* as text; takes any value tree */

#endif
