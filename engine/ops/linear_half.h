/* linear and its gradients under mixed precision: the operand that tiles share is packed in a first pass, rows of the product are the second. */
#ifndef HONE_ENGINE_OPS_LINEAR_HALF_H
#define HONE_ENGINE_OPS_LINEAR_HALF_H

#include "engine/graph/choose.h"
#include "engine/graph/op.h"

/* For the shape function of an op whose product has n columns and sums of k: marks it for mixed precision unless it is too small to gain. */
void ISA(linear_half_shape)(struct shaping *s, enum product_op what, int64_t n, struct dim k);
static inline bool linear_half(const struct exec *x) { return x->node->half != DT_F32; }
int64_t ISA(linear_half_tiles)(const struct exec *x, enum product_op what);
void ISA(linear_half_run)(const struct exec *x, enum product_op what, int64_t lo, int64_t hi);
int64_t ISA(linear_half_tiles2)(const struct exec *x, enum product_op what);
void ISA(linear_half_run2)(const struct exec *x, enum product_op what, int64_t lo, int64_t hi);
/* The activation joined with linear (enum packed_act), on the rows of tiles lo..hi. */
void ISA(linear_half_activate)(const struct exec *x, int act, int64_t lo, int64_t hi);

#endif
