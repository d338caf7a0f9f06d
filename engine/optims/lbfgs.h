/* What the files of L-BFGS share: the optimiser's own numbers (a state in double) and elements of tensors as doubles. Included by op files only, so everything
 * is static. */
#ifndef HONE_ENGINE_OPTIMS_LBFGS_H
#define HONE_ENGINE_OPTIMS_LBFGS_H

#include <math.h>

#include "engine/graph/op.h"
#include "engine/optims/optim.h"

enum { LBFGS_TILE = 8192, LBFGS_CHUNK = 512 };

/* Counters, then factors of s_j, y_j and g, then s_i . y_j and y_i . y_j of the m stored pairs; with a line search its own numbers behind. */
enum { N_ITER, N_COUNT, N_NEXT, N_H, N_SLOT, N_RATE, N_MOVE, N_ACTIVE, N_FACTORS };
static inline int64_t lbfgs_tables(int64_t m) { return N_FACTORS + 2 * m + 1; }
static inline int64_t lbfgs_numbers(int64_t m) { return lbfgs_tables(m) + 2 * m * m; }

/* The line search: how far it is, the point that is evaluated next or taken, and what is known of the function f along the direction. Counted from the end. */
enum search_stage { SEARCH_OVER, SEARCH_START, SEARCH_BRACKET, SEARCH_ZOOM };
enum {
    L_STAGE,
    L_DO, /* what lbfgs_move does */
    L_T, /* the point: a multiple of the direction */
    L_F0, /* f and its slope where the search began */
    L_G0,
    L_FIRST, /* the first point to try */
    L_MOST, /* evaluations allowed */
    L_ITER,
    L_SHORT, /* zoom: the last point was close to an end */
    L_TOL,
    L_LOW, /* which end of the bracket is the lower one */
    L_BT, /* ends of the bracket: points, f, slopes; [0] the point before while there is no bracket */
    L_BF = L_BT + 2,
    L_BG = L_BF + 2,
    L_SCALE = L_BG + 2, /* what gradients of the step are multiplied with, its share that is due to clipping, penalties */
    L_CLIPPED,
    L_L1,
    L_L2,
    L_N
};
enum { MOVE_NOT, MOVE_FIRST, MOVE_ON }; /* MOVE_FIRST: the search begins where the parameters are */
enum { S_SLOPE, S_MAX, S_PENALTY, S_N }; /* sums over elements: g . d, the largest |d|, what the penalties add to f */

/* Elements at .. at + n of a tensor as doubles, and back. */
static inline void lbfgs_load(const struct view *v, int64_t at, int64_t n, double *out) {
    if (v->dtype == DT_F32) {
        const float *p = (const float *)v->data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) out[i] = (double)p[i];
    } else
        for (int64_t i = 0; i < n; i++) out[i] = view_get(v, at + i);
}
static inline void lbfgs_store(const struct view *v, int64_t at, int64_t n, const double *from) {
    if (v->dtype == DT_F32) {
        float *p = (float *)v->data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) p[i] = (float)from[i];
    } else
        for (int64_t i = 0; i < n; i++) view_put(v, at + i, from[i]);
}
static inline void lbfgs_axpy(double *y, const double *x, double a, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}
static inline int64_t lbfgs_tiles(const struct exec *x) { return (x->in[0].len + LBFGS_TILE - 1) / LBFGS_TILE; }

/* lbfgs_search.c: nodes of the phase PHASE_SEARCH. state[4] of each parameter is where the search began. */
int ISA(lbfgs_search_build)(struct graph *g, const struct optim_update *u, int n, tid numbers, struct err *e);

#endif
