/* Attention under mixed precision, called by the ops of attention.c. */
#ifndef HONE_ENGINE_OPS_ATTENTION_HALF_H
#define HONE_ENGINE_OPS_ATTENTION_HALF_H

#include "engine/graph/op.h"

struct attn_shape {
    int64_t heads;
    bool causal;
}; /* as the ops' arguments */
void ISA(attention_half_run)(const struct exec *x, struct attn_shape a, int64_t lo, int64_t hi);
void ISA(attention_half_grad_run)(const struct exec *x, struct attn_shape a, int64_t lo, int64_t hi);

#endif
