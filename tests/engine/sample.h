/* The sample grammar of engine/graph/op.h: parsing, extents, numbers. Used by the tests that walk the op table. */
#ifndef HONE_TESTS_ENGINE_SAMPLE_H
#define HONE_TESTS_ENGINE_SAMPLE_H

#include "engine/graph/op.h"

struct sample_in {
    char kind; /* f c m q i b u o s - */
    struct dim dim[TENSOR_DIMS];
    int ndim;
    double lo, hi; /* range, or the value of s in lo */
};
struct sample_set {
    int n, diff; /* inputs; differentiable outputs */
    struct sample_in in[OP_IN];
};
int sample_parse(const char *text, struct sample_set *out, struct err *e);
/* R rows; token totals of the ragged lengths below. */
void sample_extents(int64_t rows, struct extents *x);
int64_t sample_length(int axis, int64_t row);
bool sample_has_axis(const struct sample_set *s); /* any extent that moves with R */
void sample_sources(struct graph *g, const struct sample_set *s, tid in[OP_IN]);
/* n values of input i as doubles (each exact in f32). */
void sample_values(const struct sample_set *s, int i, const struct extents *x, uint64_t seed, double *out);
int64_t sample_len(const struct sample_in *in, const struct extents *x);

#endif
