/* Algorithms of cuBLASLt chosen by time on the fake device of tests/cuda, whose clock is made up: the fastest that runs is taken, one that fails is out,
 * what was measured is remembered by device and driver, a damaged memory is measured anew, and nothing is measured where the same kernels are asked for
 * always. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/graph/backend.h"
#include "engine/graph/choose.h"
#include "engine/graph/plan.h"
#include "engine/graph/tuned.h"
#include "engine/ops/i8.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/call/settings.h"
#include "tests/engine/fake_device.h"
#include "tests/tap.h"

enum { FIRST = 0, FAILS = 1, ABSENT = 3, FASTEST = 4, ALGORITHMS = 6 }; /* of the fake */
static long (*products)(int algorithm), (*computes)(int type), (*convolutions)(int math), (*eights)(void);
enum { EXACT = 68, TF32 = 77, FMA = 3, TENSOR = 1 }; /* CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32; CUDNN_FMA_MATH, CUDNN_TENSOR_OP_MATH */
static char dir[4096];

struct counts {
    long n[ALGORITHMS], all;
};
static struct counts since(const struct counts *before) {
    struct counts c = {0};
    for (int i = 0; i < ALGORITHMS; i++) c.n[i] = products(i) - (before ? before->n[i] : 0), c.all += c.n[i];
    return c;
}

/* `times` runs of x (rows, 96) w (64, 96)^T and of the gradients on the device; false: it failed. */
static bool run(const int64_t *rows, int times, float *out) {
    struct err e = {0};
    struct backend_device *dev = backend_open("cuda", &e);
    if (!dev) return false;
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim x[] = {{1, AXIS_R}, {96, AXIS_ONE}}, w[] = {{64, AXIS_ONE}, {96, AXIS_ONE}};
    tid in[] = {graph_input(g, "x", DT_F32, x, 2, -1), graph_input(g, "w", DT_F32, w, 2, -1)};
    tid y = graph_add2(g, "linear", in[0], in[1], &e), dw = y < 0 ? -1 : graph_add2(g, "linear_dw", y, in[0], &e);
    tid keep[] = {y, dw};
    struct extents max = {{1, 4096, 4097}};
    struct plan *p = plan_new(g, &max, &(struct plan_options){.device = dev, .keep = keep, .n_keep = 2}, &e);
    bool ok = p && plan_alloc(p, &e) == 0;
    for (int i = 0; ok && i < times; i++) {
        struct extents at = {{1, rows[i], rows[i] + 1}};
        for (int k = 0; k < 2; k++) {
            float *v = plan_data(p, in[k]);
            for (int64_t j = 0, n = k ? 64 * 96 : rows[i] * 96; j < n; j++) v[j] = (float)((j * 7 + k) % 13 - 6) / 8;
        }
        ok = plan_run(p, &at, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
        if (ok && out) *out = ((float *)plan_data(p, y))[5];
    }
    if (!ok) printf("# %s\n", e.text);
    plan_free(p);
    graph_free(g);
    return ok;
}
static void fresh(void) { /* as a new process on the same machine */
    backends_close();
    tuned_forget();
}
static void setting(const char *name, bool on) {
    struct err e = {0};
    struct val *v = val_bool(on), *old = NULL;
    settings_set(name, v, &old, &e);
    val_free(old);
    val_free(v);
}

static void chosen(void) {
    static const int64_t rows[] = {200, 200, 200, 230, 90};
    float with = 0, without = 1;
    struct counts c0 = since(NULL);
    bool ok = run(rows, 1, &without);
    struct counts c = since(&c0);
    tap_ok(ok && c.n[FIRST] == 2 && c.all == 2, "a program that did not ask for it takes the library's first choice: %ld products", c.all);
    fresh();
    choose_enable(true);
    c0 = since(NULL);
    ok = run(rows, 1, &with);
    c = since(&c0);
    tap_ok(ok && c.n[FIRST] > 2 && c.n[FASTEST] > c.n[FIRST] && c.n[2] > 0, "several algorithms are timed before the first run: %ld products", c.all);
    tap_ok(c.n[FAILS] == 0 && c.n[ABSENT] == 0, "one that fails and one that is not supported are out");
    tap_ok(with == without, "the result is that of the product");
    c0 = since(NULL);
    ok = run(rows, 3, NULL);
    c = since(&c0);
    tap_ok(ok && c.n[FASTEST] == 6 && c.all == 6, "every run then takes the fastest, and nothing is measured again: %ld of %ld", c.n[FASTEST], c.all);
    ok = run(rows + 3, 1, NULL);
    c0 = since(NULL);
    ok = ok && run(rows + 4, 1, NULL);
    c = since(&c0);
    tap_ok(ok && c.n[FASTEST] == 2 && c.all == 2, "other rows nearby take the same choice");
}

static void remembered(void) {
    static const int64_t rows[] = {200};
    fresh();
    struct counts c0 = since(NULL), c;
    bool ok = run(rows, 1, NULL);
    c = since(&c0);
    tap_ok(ok && c.n[FASTEST] == 2 && c.all == 2, "another process takes the choice from the file");
    struct buf b = BUF_INIT;
    tuned_say(&b);
    tap_ok(b.data && strstr(b.data, "fake device on the CPU") && strstr(b.data, "2 measured products remembered, 2 by another"), "doctor's line: %.*s",
        (int)strcspn(b.data ? b.data : "", "\n"), b.data ? b.data : "");
    char *path = b.data && strrchr(b.data, '(') ? mem_strn(strrchr(b.data, '(') + 1, strcspn(strrchr(b.data, '(') + 1, ")")) : NULL;
    buf_release(&b);
    fresh();
    setenv("HONE_FAKE_CUDA", "serves=13010", 1);
    c0 = since(NULL);
    ok = run(rows, 1, NULL);
    c = since(&c0);
    tap_ok(ok && c.n[FIRST] > 2, "with another driver it is measured anew");
    unsetenv("HONE_FAKE_CUDA");
    struct err e = {0};
    struct buf text = BUF_INIT;
    char *at = path && io_read_file(path, 1 << 20, &text, &e) == 0 ? text.data : NULL;
    for (int i = 0; at && (at = strstr(at, "\"algorithm\": \"")); i++) at += 14, memcpy(at, "ffffffffffffffff", 16);
    bool wrote = text.data && strstr(text.data, "\"ffffffffffffffff") && io_write_file(path, text.data, text.len, &e) == 0;
    fresh();
    c0 = since(NULL);
    ok = run(rows, 1, NULL);
    c = since(&c0);
    tap_ok(wrote && ok && c.n[FIRST] > 2 && c.n[FASTEST] > 2, "an algorithm the library does not know is measured anew");
    fresh();
    setting("deterministic", true);
    c0 = since(NULL);
    ok = run(rows, 1, NULL);
    c = since(&c0);
    tap_ok(ok && c.n[FIRST] == 2 && c.all == 2, "deterministic takes the library's first choice always");
    setting("deterministic", false);
    buf_release(&text);
    free(path);
}

static bool set_device(const char *name) {
    struct err e = {0};
    struct val *v = val_str(name), *old = NULL;
    struct backend_device *d = NULL;
    settings_set("device", v, &old, &e);
    val_free(old);
    val_free(v);
    return backend_of_setting(&d, &e) == 0;
}

static void rounded(void) {
    static const int64_t rows[] = {200};
    fresh();
    long exact = computes(EXACT), tf32 = computes(TF32);
    bool ok = set_device("cuda") && run(rows, 1, NULL);
    tap_ok(ok && computes(EXACT) > exact && computes(TF32) == tf32, "products of fp32 are exact unless asked otherwise");
    setting("tf32", true);
    exact = computes(EXACT);
    ok = set_device("cuda") && run(rows, 1, NULL);
    tap_ok(ok && computes(EXACT) == exact && computes(TF32) > tf32, "tf32 = true: they are computed by TF32, by algorithms measured for it: %ld",
        computes(TF32) - tf32);
    setting("tf32", false);
    tf32 = computes(TF32);
    ok = set_device("cuda") && run(rows, 1, NULL);
    tap_ok(ok && computes(EXACT) > exact && computes(TF32) == tf32, "and exact again");
    set_device("cpu");
}

/* A convolution of fp32 on the device; how many ran by this math. */
static long convolve(bool tf32, int math) {
    struct err e = {0};
    struct backend_device *dev = NULL;
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim x[] = {{1, AXIS_R}, {3, AXIS_ONE}, {8, AXIS_ONE}, {8, AXIS_ONE}}, w[] = {{4, AXIS_ONE}, {3, AXIS_ONE}, {3, AXIS_ONE}, {3, AXIS_ONE}};
    struct extents at = {{1, 2, 3}};
    g->plain = true;
    setting("tf32", tf32);
    bool ok = set_device("cuda") && backend_of_setting(&dev, &e) == 0;
    tid y = graph_add2(g, "conv2d", graph_input(g, "x", DT_F32, x, 4, -1), graph_input(g, "w", DT_F32, w, 4, -1), &e);
    struct plan *p = ok && y >= 0 ? plan_new(g, &at, &(struct plan_options){.device = dev, .keep = &y, .n_keep = 1}, &e) : NULL;
    long before = convolutions(math);
    ok = p && plan_alloc(p, &e) == 0 && plan_run(p, &at, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
    if (!ok) printf("# %s\n", e.text);
    plan_free(p);
    graph_free(g);
    setting("tf32", false);
    set_device("cpu");
    return convolutions(math) - before;
}
static void convolved(void) {
    fresh();
    tap_ok(convolve(false, FMA) == 1 && convolve(false, TENSOR) == 0, "convolutions of fp32 are exact unless asked otherwise");
    tap_ok(convolve(true, TENSOR) == 1 && convolve(true, FMA) == 0, "tf32 = true: cuDNN may round their operands");
    tap_ok(convolve(false, FMA) == 1, "and exact again");
}

static long all_products(void) { return since(NULL).all; }

/* The only layer of a graph, `times` runs on the device: what is counted in the last of them, -1: it failed. Frees the graph and its parameters. */
static long last_run(struct graph *g, tid y, char *base, int64_t rows, int times, long (*count)(void), struct err *e) {
    struct backend_device *dev = backend_open("cuda", e);
    struct extents at = {{1, rows, rows + 1}};
    if (dev) backend_half(dev, g);
    struct plan *p = dev && y >= 0 ? plan_new(g, &at, &(struct plan_options){.device = dev, .keep = &y, .n_keep = 1, .param = base}, e) : NULL;
    bool ok = p && plan_alloc(p, e) == 0;
    long before = 0;
    for (int i = 0; ok && i < times; i++) {
        before = count();
        ok = plan_run(p, &at, PHASE_FORWARD, PHASE_FORWARD, e) == 0;
    }
    if (!ok) printf("# %s\n", e->text);
    plan_free(p);
    graph_free(g);
    mirror_drop(base);
    free(base);
    return ok ? count() - before : -1;
}
/* One 8-bit layer of 256 from 16: products of the library. */
static long layer8(int64_t rows, int times) {
    struct err e = {0};
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim x[] = {{1, AXIS_R}, {16, AXIS_ONE}}, w[] = {{256, AXIS_ONE}, {16, AXIS_ONE}};
    size_t bytes = i8_bytes(256, 16);
    tid y = graph_attr(g, "linear_i8", NULL,
        (tid[]){graph_input(g, "x", DT_F32, x, 2, -1), graph_param(g, "w", DT_I8, w, 2, 0, false), graph_param(g, "s", DT_F32, w, 1, bytes, false)}, 3, NULL,
        &e);
    return last_run(g, y, mem_new(1, bytes + 256 * sizeof(float)), rows, times, all_products, &e);
}
/* A layer of n from k in fp8 or bf16: products in fp8. */
static long layer_fp8(int64_t n, int64_t k, int64_t rows, int times) {
    struct err e = {0};
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim x[] = {{1, AXIS_R}, {k, AXIS_ONE}}, w[] = {{n, AXIS_ONE}, {k, AXIS_ONE}};
    g->half = DT_BF16, g->fp8 = true;
    tid y = graph_add2(g, "linear", graph_input(g, "x", DT_F32, x, 2, -1), graph_param(g, "w", DT_F32, w, 2, 0, false), &e);
    return last_run(g, y, mem_new((size_t)(n * k), sizeof(float)), rows, times, eights, &e);
}
static void fp8(void) {
    fresh();
    tap_ok(layer_fp8(1024, 96, 24, 2) == 1 && layer_fp8(16, 16, 64, 2) == 0,
        "with fp8 asked for a layer is computed so where that is measured faster, else in bf16");
    fresh();
    tap_ok(layer_fp8(1024, 96, 24, 1) == 1 && layer_fp8(16, 16, 64, 1) == 0, "another process takes both choices from the file");
    choose_enable(false);
    fresh();
    tap_ok(layer_fp8(16, 16, 64, 1) == 1, "where nothing is measured what is asked for is done");
    choose_enable(true);
}
static void eight_bits(void) {
    fresh();
    tap_ok(layer8(24, 2) == 0 && layer8(1024, 2) == 1, "8-bit layers: 24 rows go over the weights as they lie, 1024 through the library, as measured");
    fresh();
    tap_ok(layer8(24, 1) == 0 && layer8(1024, 1) == 1, "another process takes both choices from the file");
    choose_enable(false);
    fresh();
    tap_ok(layer8(24, 1) == 1 && layer8(8, 1) == 0, "where nothing is measured the number of rows decides");
    choose_enable(true);
}

int main(void) {
    struct err e = {0};
    struct gemm_info info;
    settings_init();
    if (ops_select("base", &e) < 0) return 1;
    gemm_open(NULL, &info);
    if (!fake_device(true, &e)) {
        printf("1..0 # SKIP %s\n", e.text);
        return 0;
    }
    fake_function(&products, "fake_products");
    fake_function(&computes, "fake_computes");
    fake_function(&convolutions, "fake_convolutions");
    fake_function(&eights, "fake_eights");
    snprintf(dir, sizeof dir, "%s/hone-tuned-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!products || !computes || !convolutions || !eights || !mkdtemp(dir)) return 1;
    setenv("XDG_CACHE_HOME", dir, 1);
    unsetenv("HONE_CACHE");
    unsetenv("HONE_PRODUCTS");
    chosen();
    remembered();
    rounded();
    convolved();
    eight_bits();
    fp8();
    backends_close();
    io_remove_tree(dir, &e);
    return tap_done();
}
