/* 30 random dense nets, widths 8 to 1024: is what hone.compress gives ever slower than what it was given, how often is it 1.2 times as fast, and how many
 * would have become slower with all layers in 8 bits? Each result is timed once more in turns with its original. Arguments: seconds a pair (0.3), nets (30),
 * seed (1). One thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "engine/cpu/gemm.h"
#include "engine/graph/op.h"
#include "src/base/json.h"
#include "src/base/rng.h"

enum { ROWS = 256, CLASSES = 10, HIDDEN = 5 };

/* Log-uniform between 8 and 1024. */
static int64_t width(uint64_t seed, uint64_t net, uint64_t k) { return (int64_t)exp2(3 + 7 * rng_unit(seed, net, k)); }

static struct model *random_net(uint64_t seed, uint64_t net, int64_t *input, char *shape, size_t size, struct err *e) {
    struct buf b = BUF_INIT;
    int hidden = 1 + (int)rng_below(seed, net, 100, HIDDEN - 1);
    size_t at = 0;
    *input = width(seed, net, 0);
    buf_addf(&b, "{\"input\":%lld,\"n_class\":%d,\"layers\":[", (long long)*input, CLASSES);
    at += (size_t)snprintf(shape, size, "%lld", (long long)*input);
    for (int i = 0; i < hidden; i++) {
        int64_t w = width(seed, net, (uint64_t)i + 1);
        buf_addf(&b, "{\"layer\":\"linear\",\"out\":%lld},{\"layer\":\"relu\"},", (long long)w);
        if (at < size) at += (size_t)snprintf(shape + at, size - at, "-%lld", (long long)w);
    }
    if (at < size) snprintf(shape + at, size - at, "-%d", CLASSES);
    buf_addf(&b, "{\"layer\":\"linear\",\"out\":%d}]}", CLASSES);
    struct val *user = json_parse(b.data, b.len, "net", e), *desc = user ? model_describe(user, NULL, e) : NULL;
    val_free(user);
    buf_release(&b);
    return desc ? model_new(desc, net + 1, e) : NULL;
}

static void fill(struct part *p, int64_t input, float *x, int32_t *y) {
    p->col[0] = (struct column){.name = p->col[0].name, .type = COL_F32, .ndim = 1, .dim = {input}, .width = input, .scale = 1, .data = x};
    p->col[1] = (struct column){.name = p->col[1].name, .type = COL_I32, .width = 1, .max_id = CLASSES, .data = y};
    for (int64_t i = 0; i < ROWS * input; i++) x[i] = (float)rng_normal(2, 0, (uint64_t)i);
    for (int64_t i = 0; i < ROWS; i++) y[i] = (int32_t)rng_below(3, 0, (uint64_t)i, CLASSES);
}

struct sums {
    int slower, fast, naive;
};

static int one(uint64_t seed, uint64_t net, double seconds, struct sums *t, struct err *e) {
    static float x[ROWS * 1024];
    static int32_t y[ROWS];
    char shape[64], xname[] = "x", yname[] = "y";
    int64_t input;
    struct column col[2] = {{.name = xname}, {.name = yname}};
    struct part part = {.n = ROWS, .n_col = 2, .col = col};
    struct model *m = random_net(seed, net, &input, shape, sizeof shape, e);
    if (!m) return -1;
    fill(&part, input, x, y);
    struct bed bed = {.part = &part, .seconds = seconds};
    struct val *text = val_str("quant.int8"), *all = val_str("quant.int8{choose=false}");
    struct recipe chosen, naive;
    struct loss_spec loss;
    struct compress_result r;
    struct pair_speed got[SPEEDS], plain[SPEEDS];
    struct squeeze q = {.bed = &bed, .note = val_table()};
    int rc = recipe_init(&chosen, text, e) < 0 || recipe_init(&naive, all, e) < 0 || loss_init(&loss, NULL, true, e) < 0 ? -1 : 0;
    struct compress_spec s = {.model = m, .recipe = &chosen, .loss = &loss, .data = "random", .split = "val", .max_drop = NAN, .bed = bed};
    struct model *every = rc == 0 ? naive.step[0].row->run(m, naive.step[0].args, &q, e) : NULL;
    if (!every || compress_run(&s, &r, e) < 0) return -1;
    if (measure_pair(&bed, m, every, plain, e) < 0 || measure_pair(&bed, m, r.model, got, e) < 0) return -1;
    bool slower = got[0].ratio > 1.02 || got[1].ratio > 1.02,
         fast = got[0].ratio < 1 / 1.2 && got[1].ratio<1 / 1.2, worse = plain[0].ratio> 1.02 || plain[1].ratio > 1.02;
    const struct val *step = val_at(val_get(r.report, "steps"), 1);
    t->slower += slower, t->fast += fast, t->naive += worse;
    printf("%-28s  %lld of %lld in 8 bits%s  times as fast at batch 1: %5.2f, %d: %5.2f  p99: %5.2f, %5.2f   all in 8 bits: %5.2f, %5.2f%s%s\n", shape,
        (long long)model_i8(r.model, NULL), (long long)val_get_int(val_get(step, "did"), "of", 0), val_get_bool(step, "kept", true) ? "         " : ", refused",
        1 / got[0].ratio, SPEED_ROWS, 1 / got[1].ratio, got[0].a99 / got[0].b99, got[1].a99 / got[1].b99, 1 / plain[0].ratio, 1 / plain[1].ratio,
        worse ? "  (all: slower)" : "", slower ? "  SLOWER" : "");
    fflush(stdout);
    model_free(m), model_free(every), model_free(r.model);
    val_free(r.report), val_free(r.before), val_free(r.after), val_free(q.note), val_free(text), val_free(all);
    recipe_release(&chosen), recipe_release(&naive);
    loss_release(&loss);
    return 0;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 0.3;
    int nets = argc > 2 ? atoi(argv[2]) : 30;
    uint64_t seed = argc > 3 ? (uint64_t)atoll(argv[3]) : 1;
    struct err e = {0};
    struct gemm_info info;
    struct sums t = {0};
    gemm_open(NULL, &info);
    printf("kernels %s, one thread\n", ops_isa());
    for (int i = 0; i < nets; i++)
        if (one(seed, (uint64_t)i, seconds, &t, &e) < 0) {
            fprintf(stderr, "%s\n", e.text);
            return 1;
        }
    printf("of %d nets: %d slower than given beyond 2 %%, %d at least 1.2 times as fast at both batch sizes; with all layers in 8 bits %d would be slower\n",
        nets, t.slower, t.fast, t.naive);
    return t.slower ? 1 : 0;
}
