/* Rows of frames of an array, (T, D) or (1, T, D), as a recurrent layer, attention, conv1d and pooling over tokens take them: packed, each frame in the place
 * of a token. */
#include "engine/graph/derive.h"
#include "engine/layers/layer.h"

#define MOST (1 << 16) /* frames of a row: offsets are 32 bits */

static int frames_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    struct graph *g = build_graph(b);
    tid x = in[0], off;
    (void)args;
    (void)n_in;
    struct tensor t = *graph_tensor(g, x);
    bool one = t.ndim >= 3 && t.dim[0].axis == AXIS_R && dtypes[t.dtype].is_float;
    for (int i = 1; i < t.ndim; i++) one = one && t.dim[i].axis == AXIS_ONE && (i >= t.ndim - 2 || t.dim[i].k == 1);
    if (!one || t.dim[t.ndim - 2].k > MOST)
        return err_set(e, "%s: frames takes rows of frames, each example (T, D) with at most %d frames; texts are packed already, other shapes need a reshape",
            build_path(b), MOST);
    int64_t count = t.dim[t.ndim - 2].k;
    if (t.ndim > 3) {
        struct val *v = val_table(), *shape = val_list();
        val_push(shape, val_int(count));
        val_push(shape, val_int(t.dim[t.ndim - 1].k));
        val_set(v, "shape", shape);
        x = graph_add(g, "reshape", v, &x, 1, NULL, e);
        val_free(v);
        if (x < 0) return -1;
    }
    int axis = derive_frames(g, x, count, &off, e);
    if (axis < 0) return -1;
    struct val *v = val_table();
    val_set_int(v, "axis", axis);
    *out = graph_add(g, "frames", v, (tid[]){x, off}, 2, NULL, e);
    val_free(v);
    if (*out >= 0) g->tensor[*out].offsets = off;
    return *out < 0 ? -1 : 0;
}

static const struct arg none[] = {{0}};
extern const struct layer layer_frames;
const struct layer layer_frames = {.kind = {.name = "frames",
                                       .help = "rows of frames (T, D) in the place of tokens, for recurrent layers, attention and conv1d",
                                       .example = "nn.frames{}",
                                       .args = none},
    .in_min = 1,
    .in_max = 1,
    .build = frames_build};
