/* Convolutions of images and their gradients by cuDNN, as engine/ops/conv.c defines them (row-major images, cross-correlation, groups). Descriptions and
 * the library's choice are kept by shape; of its algorithms the first deterministic one that fits the workspace serves. Types are those of the images; weights
 * are rounded along. */
#include "engine/cuda/cuda.h"

#include <cudnn.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored \
    "-Wdeprecated-declarations" /* the plain interface of cuDNN: its graphs would describe the same three products in ten times the lines */

enum direction { FORWARD, DATA, FILTER };
struct conv_shape {
    int n, c, h, w, o, kh, kw, oh, ow, stride[2], pad[2], dilation[2], groups, type; /* type: enum dtype */
    int tf32;
    enum direction dir;
};
struct plan_of_conv {
    struct plan_of_conv *next;
    struct conv_shape shape;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    int algo;
    size_t workspace;
};

static void conv_free(struct plan_of_conv *p) {
    if (p->x) cudnnDestroyTensorDescriptor(p->x);
    if (p->y) cudnnDestroyTensorDescriptor(p->y);
    if (p->w) cudnnDestroyFilterDescriptor(p->w);
    if (p->conv) cudnnDestroyConvolutionDescriptor(p->conv);
    free(p);
}
void convs_free(struct cuda *c) {
    for (struct plan_of_conv *p = c->convs, *next; p; p = next) {
        next = p->next;
        conv_free(p);
    }
    c->convs = NULL;
    if (c->dnn) cudnnDestroy((cudnnHandle_t)c->dnn);
    c->dnn = NULL;
}

static int dnn_fail(struct cuda *c, cudnnStatus_t rc, const struct conv_shape *s, struct err *e) {
    cudaGetLastError(); /* it is told here */
    return c->host->fail(e, "cuDNN refuses the convolution of %d images (%d, %d, %d) by (%d, %d, %d, %d): %s", s->n, s->c, s->h, s->w, s->o, s->c / s->groups,
        s->kh, s->kw, cudnnGetErrorString(rc));
}

/* Bytes that an algorithm takes with these descriptions; the library's list was made for kinds of mathematics of its own. */
static cudnnStatus_t space_of(cudnnHandle_t h, const struct plan_of_conv *p, int algo, size_t *bytes) {
    if (p->shape.dir == FORWARD) return cudnnGetConvolutionForwardWorkspaceSize(h, p->x, p->w, p->conv, p->y, (cudnnConvolutionFwdAlgo_t)algo, bytes);
    if (p->shape.dir == DATA) return cudnnGetConvolutionBackwardDataWorkspaceSize(h, p->w, p->y, p->conv, p->x, (cudnnConvolutionBwdDataAlgo_t)algo, bytes);
    return cudnnGetConvolutionBackwardFilterWorkspaceSize(h, p->x, p->y, p->conv, p->w, (cudnnConvolutionBwdFilterAlgo_t)algo, bytes);
}
template <class P> static int pick(cudnnHandle_t h, const P *found, int n, struct plan_of_conv *p) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n; i++) {
            size_t bytes = 0;
            if (found[i].status != CUDNN_STATUS_SUCCESS || (pass == 0 && found[i].determinism != CUDNN_DETERMINISTIC)) continue;
            if (space_of(h, p, (int)found[i].algo, &bytes) != CUDNN_STATUS_SUCCESS || bytes > (size_t)PRODUCT_SPACE) continue;
            p->algo = (int)found[i].algo, p->workspace = bytes;
            return 0;
        }
    return -1;
}
static cudnnStatus_t choose(cudnnHandle_t h, struct plan_of_conv *p) {
    cudnnConvolutionFwdAlgoPerf_t f[8];
    cudnnConvolutionBwdDataAlgoPerf_t d[8];
    cudnnConvolutionBwdFilterAlgoPerf_t w[8];
    int n = 0;
    cudnnStatus_t rc;
    if (p->shape.dir == FORWARD) rc = cudnnGetConvolutionForwardAlgorithm_v7(h, p->x, p->w, p->conv, p->y, 8, &n, f);
    else if (p->shape.dir == DATA) rc = cudnnGetConvolutionBackwardDataAlgorithm_v7(h, p->w, p->y, p->conv, p->x, 8, &n, d);
    else rc = cudnnGetConvolutionBackwardFilterAlgorithm_v7(h, p->x, p->y, p->conv, p->w, 8, &n, w);
    if (rc != CUDNN_STATUS_SUCCESS) return rc;
    int found = p->shape.dir == FORWARD ? pick(h, f, n, p) : p->shape.dir == DATA ? pick(h, d, n, p) : pick(h, w, n, p);
    return found == 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
static struct plan_of_conv *conv_of(struct cuda *c, const struct conv_shape *s, struct err *e) {
    for (struct plan_of_conv *p = c->convs; p; p = p->next)
        if (memcmp(&p->shape, s, sizeof *s) == 0) return p;
    cudnnDataType_t type = s->type == DT_BF16 ? CUDNN_DATA_BFLOAT16 : s->type == DT_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
    struct plan_of_conv *p = (struct plan_of_conv *)calloc(1, sizeof *p);
    cudnnHandle_t h = (cudnnHandle_t)c->dnn;
    cudnnStatus_t rc = CUDNN_STATUS_SUCCESS;
    if (!p) return NULL;
    p->shape = *s;
    if (!h) {
        rc = cudnnCreate(&h);
        c->dnn = h;
        if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetStream(h, c->stream);
    }
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnCreateTensorDescriptor(&p->x);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnCreateTensorDescriptor(&p->y);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnCreateFilterDescriptor(&p->w);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnCreateConvolutionDescriptor(&p->conv);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetTensor4dDescriptor(p->x, CUDNN_TENSOR_NCHW, type, s->n, s->c, s->h, s->w);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetTensor4dDescriptor(p->y, CUDNN_TENSOR_NCHW, type, s->n, s->o, s->oh, s->ow);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetFilter4dDescriptor(p->w, type, CUDNN_TENSOR_NCHW, s->o, s->c / s->groups, s->kh, s->kw);
    if (rc == CUDNN_STATUS_SUCCESS)
        rc = cudnnSetConvolution2dDescriptor(
            p->conv, s->pad[0], s->pad[1], s->stride[0], s->stride[1], s->dilation[0], s->dilation[1], CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetConvolutionGroupCount(p->conv, s->groups);
    if (rc == CUDNN_STATUS_SUCCESS) rc = cudnnSetConvolutionMathType(p->conv, s->type == DT_F32 && !s->tf32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH);
    if (rc == CUDNN_STATUS_SUCCESS) rc = choose(h, p);
    if (rc != CUDNN_STATUS_SUCCESS) {
        dnn_fail(c, rc, s, e);
        conv_free(p);
        return NULL;
    }
    p->next = c->convs;
    return c->convs = p;
}

/* The forward convolution's geometry, whoever asks. */
static struct conv_shape shape_of(
    const struct cuda *c, const struct exec *x, enum direction dir, const struct view *img, const struct view *out, int64_t kh, int64_t kw) {
    struct conv_shape s;
    int64_t v[TENSOR_DIMS];
    static const char *const names[] = {"stride", "pad", "dilation"};
    memset(&s, 0, sizeof s);
    s.tf32 = c->tf32;
    int *to[] = {s.stride, s.pad, s.dilation};
    s.n = (int)img->n[0], s.c = (int)img->n[1], s.h = (int)img->n[2], s.w = (int)img->n[3];
    s.o = (int)out->n[1], s.oh = (int)out->n[2], s.ow = (int)out->n[3], s.kh = (int)kh, s.kw = (int)kw;
    for (int j = 0; j < 3; j++) {
        int n = c->host->shape(x->node, names[j], v, TENSOR_DIMS);
        for (int i = 0; i < 2; i++) to[j][i] = n < 1 ? (j == 1 ? 0 : 1) : (int)v[i < n ? i : 0];
    }
    s.groups = (int)c->host->number(x->node, "groups");
    s.dir = dir;
    return s;
}
static const float one = 1, zero = 0;

__global__ void add_bias(vec y, const float *bias, int64_t n, int64_t c, int64_t p) { EACH(i, n) y.put(i, y.get(i) + bias[i / p % c]); }
static int forward(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    struct conv_shape s = shape_of(c, x, FORWARD, &x->in[0], &x->out[0], x->in[1].n[2], x->in[1].n[3]);
    size_t used = 0;
    s.type = x->out[0].dtype;
    if (x->out[0].len == 0) return 0;
    struct plan_of_conv *p = conv_of(c, &s, e);
    const void *a = p ? operand(c, &x->in[0], s.type, &used, e) : NULL, *w = a ? operand(c, &x->in[1], s.type, &used, e) : NULL;
    if (!w) return -1;
    cudnnStatus_t rc = cudnnConvolutionForward(
        (cudnnHandle_t)c->dnn, &one, p->x, a, p->w, w, p->conv, (cudnnConvolutionFwdAlgo_t)p->algo, c->workspace, p->workspace, &zero, p->y, x->out[0].data);
    if (rc != CUDNN_STATUS_SUCCESS) return dnn_fail(c, rc, &s, e);
    if (has(x, 2))
        LAUNCH(add_bias, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->out[0]), (const float *)x->in[2].data, x->out[0].len, (int64_t)s.o,
            (int64_t)s.oh * s.ow);
    return 0;
}
/* dx from dy and the weight */
static int data(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    struct conv_shape s = shape_of(c, x, DATA, &x->out[0], &x->in[0], x->in[1].n[2], x->in[1].n[3]);
    size_t used = 0;
    s.type = x->out[0].dtype;
    if (x->out[0].len == 0) return 0;
    struct plan_of_conv *p = conv_of(c, &s, e);
    const void *d = p ? operand(c, &x->in[0], s.type, &used, e) : NULL, *w = d ? operand(c, &x->in[1], s.type, &used, e) : NULL;
    if (!w) return -1;
    cudnnStatus_t rc = cudnnConvolutionBackwardData((cudnnHandle_t)c->dnn, &one, p->w, w, p->y, d, p->conv, (cudnnConvolutionBwdDataAlgo_t)p->algo,
        c->workspace, p->workspace, &zero, p->x, x->out[0].data);
    return rc == CUDNN_STATUS_SUCCESS ? 0 : dnn_fail(c, rc, &s, e);
}
/* dw from dy and x, in the type of x and then in float */
static int filter(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    struct conv_shape s = shape_of(c, x, FILTER, &x->in[1], &x->in[0], x->out[0].n[2], x->out[0].n[3]);
    size_t used = 0;
    s.type = x->in[1].dtype;
    if (x->out[0].len == 0) return 0;
    if (x->in[1].len == 0) return cuda_fail(c, cudaMemsetAsync(x->out[0].data, 0, (size_t)x->out[0].len * 4, c->stream), "clearing", e);
    struct plan_of_conv *p = conv_of(c, &s, e);
    const void *d = p ? operand(c, &x->in[0], s.type, &used, e) : NULL;
    if (!d) return -1;
    struct view w = x->out[0];
    w.dtype = (enum dtype)s.type;
    if (s.type != DT_F32 && !(w.data = operand_room(c, w.len, &used, e))) return -1;
    cudnnStatus_t rc = cudnnConvolutionBackwardFilter((cudnnHandle_t)c->dnn, &one, p->x, x->in[1].data, p->y, d, p->conv,
        (cudnnConvolutionBwdFilterAlgo_t)p->algo, c->workspace, p->workspace, &zero, p->w, w.data);
    if (rc != CUDNN_STATUS_SUCCESS) return dnn_fail(c, rc, &s, e);
    if (s.type != DT_F32) convert(c, vec_of(&w), vec_of(&x->out[0]), w.len);
    return 0;
}

extern const struct kernel conv_kernels[];
const struct kernel conv_kernels[] = {
    {"conv2d", 1, 1, false, NULL, forward}, {"conv2d_dx", 1, 1, false, NULL, data}, {"conv2d_dw", 3, 0, false, NULL, filter}, {}};
