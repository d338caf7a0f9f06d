/* Tensors as metadata: shape, dtype, arena. No numbers. Every extent is a constant times at most one axis symbol, so that a
 * graph is built once for any batch. Text is packed: (T, ...) tokens with (R+1) offsets, never padded. */
#ifndef HONE_ENGINE_GRAPH_TENSOR_H
#define HONE_ENGINE_GRAPH_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"

enum dtype { DT_F32, DT_F64, DT_I32, DT_I64, DT_U8, DT_I8, DT_BOOL, DT_BF16, DT_F16, DT_N };
struct dtype_row {
    const char *name, *safetensors; /* "f32", "F32" */
    int bits;
    bool is_float;
};
extern const struct dtype_row dtypes[DT_N];

/* Axis symbols. R: rows (examples) of the batch; R1: R + 1 (offsets); T0..T3: packed tokens of up to four ragged inputs. */
enum axis { AXIS_ONE, AXIS_R, AXIS_R1, AXIS_T0, AXIS_T1, AXIS_T2, AXIS_T3, AXIS_N };
extern const char *const axis_names[AXIS_N]; /* "", "R", "R+1", "T0" ... */

struct dim {
    int64_t k; /* times */
    int axis; /* enum axis */
};
struct extents {
    int64_t n[AXIS_N];
}; /* values of the symbols; n[AXIS_ONE] is 1 */

enum arena_role { ROLE_INPUT, ROLE_SCALAR, ROLE_PARAM, ROLE_GRAD, ROLE_STATE, ROLE_TEMP, ROLE_CONST, ROLE_N };

#define TENSOR_DIMS 6
typedef int tid; /* index into graph->tensor; -1: none */
struct tensor {
    struct dim dim[TENSOR_DIMS];
    int ndim;
    enum dtype dtype;
    enum arena_role role;
    const char *name; /* of inputs, scalars, parameters, state: "l1.weight"; else NULL */
    int node, out; /* producer; node -1: none */
    tid offsets; /* ragged tensors (dim[0].axis is T*): the (R+1) i32 offsets; -1: none */
    size_t offset; /* bytes into its arena: PARAM, STATE by the model; TEMP, GRAD by the plan */
    bool needs_grad;
    int block; /* 0: row-major; B: an image tensor (R, C, H, W) lies in memory as (R, C/B, H, W, B); the logical shape stays */
    double value; /* ROLE_CONST */
};
int64_t tensor_len(const struct tensor *t, const struct extents *x); /* elements */
size_t tensor_bytes(const struct tensor *t, const struct extents *x);
int64_t dim_value(struct dim d, const struct extents *x);
bool dim_same(struct dim a, struct dim b);
void tensor_shape(struct buf *b, const struct tensor *t); /* "(R, 128)" */
size_t dtype_bytes(enum dtype d, int64_t n);

#endif
