/* Which of several routes computes a product (linear, linear_dx, linear_dw in fp32): measured on this machine before the first step, since the fastest library
 * differs between processors and shapes. Choices belong to a graph, are stored with the run and its checkpoints, and are remembered by machine in
 * $XDG_CACHE_HOME/hone (else ~/.cache/hone). Without choices, and for small products, the route goes by shape. Engine thread; kernels only read. */
#ifndef HONE_ENGINE_GRAPH_CHOOSE_H
#define HONE_ENGINE_GRAPH_CHOOSE_H

#include "engine/graph/graph.h"

enum product_op { PRODUCT_Y, PRODUCT_DX, PRODUCT_DW }; /* linear, linear_dx, linear_dw */
typedef void (*gemm_fn)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
    float *c, int64_t ldc);
struct route {
    const char *name, *help;
    gemm_fn gemm; /* on tiles of gemm_cut; NULL: as the shape says (own kernels, small or narrow ones the BLAS) */
    bool (*there)(void); /* NULL: always */
};
extern const struct route routes[]; /* ends with name NULL; the first is the usual one */
#define ROUTES 3

enum { CHOICES_MAX = 128 };
struct choice {
    enum product_op what;
    int64_t rows, out, in; /* weight (out, in); rows: rounded up to a power of two */
    int route;
};
struct products {
    bool pinned; /* nothing is measured any more */
    int n;
    struct choice c[CHOICES_MAX];
};
/* The row that serves a product with so many rows: the choice of that number of rows or one nearby; NULL: by shape. */
const struct route *choose_route(const struct products *p, enum product_op what, int64_t rows, int64_t out, int64_t in);

/* Seconds of one run of this product by this route; adds to *spent what it took in all. Below 0: cannot be told. */
typedef double (*choose_timer)(void *ctx, const struct choice *c, int64_t rows, int route, double *spent);
struct choosing {
    choose_timer time; /* NULL: the product itself is run */
    void *ctx;
    const char *folder; /* where choices are remembered; NULL: nowhere */
    double budget; /* seconds for all new shapes */
};
/* Measured on one thread, whatever the number of threads is: bits must not depend on it.
 * Adds the choices for the products of g at these extents, remembered ones or new ones, largest products first. Returns how many were measured. */
int choose_with(struct products *p, const struct graph *g, const struct extents *max, const struct choosing *how);
/* The same as the program does it; nothing unless choose_enable was called, and nothing where p is pinned or the setting deterministic is on.
 * HONE_PRODUCTS=shape: by shape; HONE_CACHE=off: no file. */
int choose_products(struct products *p, const struct graph *g, const struct extents *max);
void choose_enable(bool on); /* off at first, so that tests do not depend on time */
bool choose_enabled(void);
bool choose_measures(void); /* enabled, and neither the setting deterministic nor HONE_PRODUCTS=shape forbids it */
void choose_forget(void); /* what this process remembers */

struct val *choose_val(const struct products *p); /* a list */
/* Takes such a list and pins it; NULL: by shape. A route that is not on this machine goes by shape, with a notice. */
int choose_from(struct products *p, const struct val *v, struct err *e);
void choose_say(struct buf *b); /* the remembered choices of this machine in a few words */

#endif
