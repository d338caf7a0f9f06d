/* The workloads of `hone bench`: a row says model, optimiser and batch; the step is engine/train/step.c, so what is timed is what
 * training runs: forward, loss, gradients, gate, update. Inputs are filled once; a sample is a few steps, the reported time is the
 * median over samples. The yard is measured just before and just after. */
#include "engine/cmds/bench_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/yard.h"
#include "engine/graph/backend.h"
#include "engine/train/precision.h"
#include "engine/train/step.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/thread.h"

enum feed { FEED_VALUES, FEED_ZIPF, FEED_IDS, FEED_RAGGED };
struct work {
    const char *name, *model, *optim; /* JSON as a user's table; optim NULL: forward only */
    int64_t rows, tokens; /* tokens of a row; 0: dense */
    enum feed feed;
    int32_t classes;
    enum dtype half;
    bool fp8; /* with DT_BF16 */
};
static const struct work works[];
/* Lengths of 256 texts as in a review corpus (log-normal, cut to 4 .. 128, sorted), those of the peers' benchmark. */
static const uint8_t ragged[256];
enum { RAGGED_ROWS = 32 };

void bench_zipf(int32_t *ids, int64_t n, int32_t vocab) {
    double *cum = X_NEW(double, (size_t)vocab), q = 0;
    uint32_t s = 7;
    for (int32_t i = 0; i < vocab; i++) cum[i] = q += 1 / (i + 2.7);
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        double u = (s >> 8) / 16777216.0 * q;
        int32_t lo = 0, hi = vocab - 1;
        while (lo < hi) {
            int32_t m = (lo + hi) / 2;
            if (cum[m] < u) lo = m + 1;
            else hi = m;
        }
        ids[i] = lo;
    }
    free(cum);
}

struct bench { /* one workload being timed */
    const struct work *w;
    struct model *model;
    struct loss_spec loss;
    struct optimiser *optim;
    struct step *step;
    struct backend_device *device; /* NULL: the CPU */
    struct precision precision;
    struct products products;
    struct extents x;
    uint64_t number;
    int batch; /* of ragged texts: which of the 8 comes next */
};

static void bench_close(struct bench *b) {
    step_free(b->step);
    if (b->optim) optimiser_free(b->optim);
    if (b->loss.row) loss_release(&b->loss);
    model_free(b->model);
}

static void fill(struct bench *b) {
    const struct work *w = b->w;
    int32_t *offsets = NULL, *y = step_target(b->step);
    void *x = step_input(b->step, 0, &offsets, NULL);
    if (w->feed == FEED_ZIPF) {
        bench_zipf(x, w->rows * w->tokens, 10000);
        for (int64_t r = 0; r <= w->rows; r++) offsets[r] = (int32_t)(r * w->tokens);
    } else if (w->feed != FEED_VALUES) {
        for (int64_t i = 0; i < w->rows * w->tokens; i++) ((int32_t *)x)[i] = (int32_t)rng_below(2, 0, (uint64_t)i, 30522);
        for (int64_t r = 0; r <= w->rows; r++) offsets[r] = (int32_t)(r * w->tokens);
    } else {
        int64_t n = tensor_len(graph_tensor(b->step->g, b->step->io.in[0].data), &b->x);
        for (int64_t i = 0; i < n; i++) ((float *)x)[i] = (float)rng_unit(1, 0, (uint64_t)i);
    }
    for (int64_t r = 0; y && r < w->rows; r++) y[r] = (int32_t)(r % w->classes);
}

static int bench_open(struct bench *b, const struct work *w, struct pool *pool, bool profile, struct err *e) {
    *b = (struct bench){.w = w};
    struct val *user = json_parse(w->model, strlen(w->model), w->name, e), *spec = w->optim ? json_parse(w->optim, strlen(w->optim), w->name, e) : NULL;
    struct val *desc = user ? model_describe(user, NULL, e) : NULL;
    if (desc) b->model = model_new(desc, 1, e);
    if (b->model && spec && loss_init(&b->loss, NULL, true, e) == 0) b->optim = optimiser_new(spec, e);
    val_free(user);
    val_free(spec);
    if (!b->model || (w->optim && !b->optim)) return -1;
    if (w->half != DT_F32 &&
        precision_choose(&b->precision, w->fp8 ? PRECISION_FP8 : PRECISION_BF16, false, b->model, w->rows * (w->tokens > 0 ? w->tokens : 1), e) < 0)
        return -1;
    struct step_spec s = {.model = b->model,
        .loss = w->optim ? &b->loss : NULL,
        .optim = b->optim,
        .pool = pool,
        .seed = 1,
        .profile = profile,
        .half = b->precision.half,
        .fp8 = b->precision.fp8,
        .products = &b->products};
    s.rows = w->rows, s.tokens[0] = w->rows * w->tokens;
    if (backend_of_setting(&b->device, e) < 0) return -1;
    s.device = b->device;
    b->step = step_new(&s, e);
    if (!b->step) return -1;
    b->x = step_extents(b->step, w->rows, (int64_t[]){w->rows * w->tokens}, w->tokens > 0);
    fill(b);
    return 0;
}

/* The next 32 texts; the ids stay as they are. */
static void next_ragged(struct bench *b) {
    int32_t *offsets;
    step_input(b->step, 0, &offsets, NULL);
    offsets[0] = 0;
    for (int r = 0; r < RAGGED_ROWS; r++) offsets[r + 1] = offsets[r] + ragged[b->batch * RAGGED_ROWS + r];
    b->batch = (b->batch + 1) % ((int)LEN(ragged) / RAGGED_ROWS);
    b->x = step_extents(b->step, RAGGED_ROWS, (int64_t[]){offsets[RAGGED_ROWS]}, 1);
}

static int one_step(struct bench *b, struct err *e) {
    double hyper[CTL_N], lr = b->optim ? optimiser_common(b->optim)->lr : 0;
    struct step_result r;
    if (!b->optim) {
        int batches = b->w->feed == FEED_RAGGED ? (int)LEN(ragged) / RAGGED_ROWS : 1;
        for (int i = 0; i < batches; i++) {
            if (b->w->feed == FEED_RAGGED) next_ragged(b);
            if (step_run(b->step, &b->x, b->number++, NULL, &r, e) < 0) return -1;
        }
        return 0;
    }
    optimiser_hyper(b->optim, lr, 0, 0, hyper);
    if (step_run(b->step, &b->x, b->number++, hyper, &r, e) < 0) return -1;
    if (!r.ok) return err_set(e, "%s: the loss is not finite at step %llu", b->w->name, (unsigned long long)b->number);
    optimiser_applied(b->optim, lr);
    return 0;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { SAMPLES = 41 };
struct timing {
    double ms[SAMPLES];
    int samples;
    int64_t n, warm;
};

/* Samples of at least `seconds / SAMPLES`, sorted. */
static int measure(struct bench *b, double seconds, int (*stop)(void *ctx), void *ctx, struct timing *t, struct err *e) {
    double once = INFINITY;
    *t = (struct timing){0};
    for (int i = 0; i < 5 && (i < 2 || once < seconds / 4); i++) {
        double from = clock_now();
        if (one_step(b, e) < 0) return -1;
        once = fmin(once, clock_now() - from), t->warm++;
    }
    int64_t per = (int64_t)(seconds / SAMPLES / fmax(once, 1e-6)) + 1;
    double until = clock_now() + 2 * seconds + once;
    while (t->samples < SAMPLES && (t->samples < 3 || clock_now() < until)) {
        double from = clock_now();
        for (int64_t i = 0; i < per; i++)
            if (one_step(b, e) < 0) return -1;
        t->ms[t->samples++] = (clock_now() - from) * 1e3 / (double)per;
        t->n += per;
        if (stop && stop(ctx)) return err_code(e, ERR_STOPPED, "the bench was stopped");
    }
    qsort(t->ms, (size_t)t->samples, sizeof *t->ms, by_value);
    return 0;
}

/* Forward multiply-adds of one step; -1: error. */
static double work_macs(const struct bench *b, struct err *e) {
    int64_t n = b->w->feed == FEED_RAGGED ? 0 : model_macs(b->model, b->w->tokens, e), last = 0;
    if (b->w->feed != FEED_RAGGED) return n < 0 ? -1 : (double)n * (double)b->w->rows;
    double sum = 0;
    for (size_t i = 0; i < LEN(ragged); i++) { /* sorted: each length is asked for once */
        if (!i || ragged[i] != ragged[i - 1]) last = model_macs(b->model, ragged[i], e);
        if (last < 0) return -1;
        sum += (double)last;
    }
    return sum;
}

static struct val *node_times(const struct bench *b, int64_t steps) {
    struct node_time nt[1024];
    size_t n = plan_profile(b->step->plan, nt, LEN(nt));
    struct val *list = val_list();
    for (size_t i = 0; i < n; i++) {
        struct val *v = val_table();
        val_set_str(v, "op", nt[i].node->op->kind.name);
        val_set_str(v, "path", nt[i].node->path);
        val_set_num(v, "ms", nt[i].seconds * 1e3 / (double)steps);
        val_set_num(v, "flop", nt[i].flop * (double)nt[i].calls / (double)steps);
        val_set_num(v, "macs", nt[i].macs * (double)nt[i].calls / (double)steps);
        val_push(list, v);
    }
    return list;
}

bool bench_fits(const char *name) {
    const struct work *w = works;
    struct backend_device *d = NULL;
    while (w->name && strcmp(w->name, name) != 0) w++;
    return !w->name || !w->fp8 || (backend_of_setting(&d, NULL) == 0 && d && backend_has_fp8(&d->info));
}

struct val *bench_work(
    const char *name, int64_t rows, struct pool *pool, double seconds, int (*stop)(void *ctx), void *ctx, struct val **nodes, struct err *e) {
    const struct work *w = works;
    while (w->name && strcmp(w->name, name) != 0) w++;
    if (!w->name) {
        size_t n = 0;
        while (bench_names[n]) n++;
        const char *near = args_nearest(name, bench_names, n);
        err_code(e, ERR_USAGE, near ? "there is no workload \"%s\": did you mean \"%s\"?" : "there is no workload \"%s\"; \"hone help bench\" lists them", name,
            near);
        return NULL;
    }
    struct bench b;
    struct timing t;
    struct val *v = NULL;
    double yard = 0, flop;
    struct work with = *w;
    if (rows > 0 && w->feed == FEED_RAGGED) {
        err_code(e, ERR_USAGE, "%s has its own texts: rows cannot be chosen", w->name);
        return NULL;
    }
    if (rows > 0) with.rows = rows;
    w = &with;
    if (bench_open(&b, w, pool, nodes != NULL, e) < 0) goto out;
    double macs = work_macs(&b, e);
    if (macs < 0) goto out;
    if (!b.device) yard = yard_gflops(pool, isa_now());
    if (measure(&b, seconds, stop, ctx, &t, e) < 0) goto out;
    if (!b.device) yard = (yard + yard_gflops(pool, isa_now())) / 2;
    flop = (w->optim ? 6.0 : 2.0) * macs;
    v = val_table();
    val_set_str(v, "event", "bench");
    val_set_str(v, "work", w->name);
    if (rows > 0) val_set_int(v, "rows", rows);
    if (b.device) val_set_str(v, "device", b.device->name);
    else val_set_int(v, "threads", pool_threads(pool));
    val_set_num(v, "ms", t.ms[t.samples / 2]);
    val_set_num(v, "min", t.ms[0]);
    val_set_num(v, "max", t.ms[t.samples - 1]);
    val_set_int(v, "n", t.n);
    if (!b.device) val_set_num(v, "yard_gflops", yard);
    val_set_num(v, "flop", flop);
    if (!b.device) val_set_num(v, "of_yard", flop / (t.ms[t.samples / 2] * 1e-3) * 1e-9 / yard);
    if (w->half != DT_F32) val_set_str(v, "precision", precision_name(&b.precision));
    val_set_int(v, "bytes_peak", (int64_t)step_memory(b.step, NULL));
    if (nodes) *nodes = node_times(&b, t.n + t.warm);
out:
    bench_close(&b);
    return v;
}

#define BAG                                                                                                                                                    \
    "{\"input\":{\"ids\":10000,\"len\":128},\"classes\":2,\"layers\":[{\"layer\":\"embedding\",\"n\":10000,\"dim\":128},{\"layer\":\"mean_pool\"},{\"layer\":" \
    "\"linear\",\"out\":2}]}"
#define MLP "{\"input\":784,\"layers\":[{\"layer\":\"linear\",\"out\":512},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":10}]}"
#define BLOCK(h) "{\"layer\":\"encoder_block\",\"heads\":12,\"ffn\":" h ",\"eps\":1e-5}"
#define BLOCKS3(h) BLOCK(h) "," BLOCK(h) "," BLOCK(h)
#define ENCODER_OF(d, store, blocks)                                                                                                                          \
    "{\"input\":{\"ids\":30522,\"len\":128},\"n_class\":2,\"layers\":[{\"layer\":\"text_embedding\",\"n\":30522,\"dim\":" d ",\"eps\":1e-5" store "}," blocks \
    ",{\"layer\":\"first_token\"},{\"layer\":\"linear\",\"out\":2}]}"
#define ENCODER(d, blocks) ENCODER_OF(d, "", blocks)
#define MINILM ENCODER("384", BLOCKS3("1536") "," BLOCKS3("1536"))
#define BLOCK_I8                                                                                                                                            \
    "{\"layer\":\"encoder_block\",\"heads\":12,\"ffn\":1536,\"eps\":1e-5,\"math\":\"i8\",\"store\":{\"attn.qkv.weight\":\"i8\",\"attn.out.weight\":\"i8\"," \
    "\"up.weight\":\"i8\",\"down.weight\":\"i8\"}}"
#define MINILM_I8 ENCODER_OF("384", ",\"store\":{\"word.weight\":\"i8\"}", BLOCK_I8 "," BLOCK_I8 "," BLOCK_I8 "," BLOCK_I8 "," BLOCK_I8 "," BLOCK_I8)
#define BERT ENCODER("768", BLOCKS3("3072") "," BLOCKS3("3072") "," BLOCKS3("3072") "," BLOCKS3("3072"))
#define CONV(more, out, stride) \
    "{\"layer\":\"conv2d\",\"out\":" out ",\"k\":3,\"stride\":" stride ",\"pad\":1,\"bias\":false" more "},{\"layer\":\"batch_norm\""
#define RES_BLOCK(name, from, short, out, stride)                                                                \
    CONV(",\"from\":[\"" from "\"]", out, stride)                                                                \
    "},{\"layer\":\"relu\"}," CONV("", out, "1") ",\"name\":\"" name "n\"},{\"layer\":\"add\",\"from\":[\"" name \
                                                 "n\",\"" short "\"]},{\"layer\":\"relu\",\"name\":\"" name "\"}"
#define RES_DOWN(name, from, out) \
    "{\"layer\":\"pad_shortcut\",\"out\":" out ",\"name\":\"" name "s\",\"from\":[\"" from "\"]}," RES_BLOCK(name, from, name "s", out, "2")
#define RESNET20                                                                                                                                              \
    "{\"input\":[3,32,32],\"n_class\":10,\"layers\":[" CONV("", "16", "1") "},{\"layer\":\"relu\",\"name\":\"a\"}," RES_BLOCK(                                \
        "b", "a", "a", "16", "1") "," RES_BLOCK("c", "b", "b", "16", "1") "," RES_BLOCK("d", "c", "c", "16", "1") "," RES_DOWN("e", "d",                      \
        "32") "," RES_BLOCK("f", "e", "e", "32", "1") "," RES_BLOCK("g", "f", "f", "32", "1") "," RES_DOWN("h", "g", "64") "," RES_BLOCK("i", "h", "h", "64", \
        "1") "," RES_BLOCK("j", "i", "i", "64", "1") ",{\"layer\":\"global_pool\"},{\"layer\":\"linear\",\"out\":10}]}"
#define ADAMW "{\"optim\":\"adamw\",\"lr\":1e-4}"
const char *const bench_names[] = {"bag-train", "bag-train-lazy", "mlp-train", "resnet20-train", "minilm-train", "minilm-train-bf16", "minilm-infer",
    "minilm-infer-bf16", "minilm-infer-fp8", "minilm-infer-int8", "minilm-infer-int8-bf16", "minilm-p1", "minilm-p1-bf16", "minilm-p1-int8", "minilm-ragged",
    "minilm-ragged-int8", "bert-train", "bert-train-bf16", "bert-infer-bf16", "bert-infer-fp8", NULL};
static const uint8_t ragged[256] = {
    4,
    4,
    6,
    6,
    7,
    7,
    8,
    8,
    9,
    10,
    10,
    10,
    10,
    10,
    10,
    11,
    11,
    11,
    11,
    12,
    12,
    12,
    12,
    12,
    12,
    13,
    13,
    14,
    14,
    14,
    14,
    14,
    15,
    15,
    15,
    15,
    15,
    15,
    16,
    16,
    16,
    16,
    16,
    16,
    16,
    16,
    17,
    17,
    17,
    17,
    18,
    18,
    18,
    18,
    19,
    19,
    19,
    19,
    19,
    20,
    20,
    20,
    20,
    21,
    21,
    21,
    21,
    21,
    21,
    21,
    21,
    21,
    22,
    22,
    22,
    22,
    22,
    22,
    22,
    22,
    22,
    22,
    23,
    23,
    23,
    24,
    24,
    24,
    24,
    24,
    24,
    25,
    25,
    25,
    25,
    25,
    26,
    26,
    26,
    27,
    27,
    27,
    27,
    27,
    27,
    28,
    28,
    28,
    28,
    28,
    29,
    29,
    29,
    29,
    29,
    29,
    30,
    31,
    31,
    32,
    32,
    33,
    33,
    33,
    33,
    33,
    33,
    33,
    33,
    34,
    34,
    34,
    35,
    35,
    36,
    36,
    36,
    36,
    36,
    36,
    36,
    36,
    37,
    37,
    37,
    37,
    37,
    38,
    38,
    38,
    38,
    38,
    38,
    39,
    39,
    39,
    40,
    40,
    41,
    41,
    42,
    43,
    43,
    43,
    44,
    44,
    45,
    45,
    45,
    46,
    46,
    47,
    47,
    48,
    48,
    49,
    49,
    50,
    50,
    50,
    50,
    51,
    51,
    52,
    52,
    53,
    54,
    56,
    56,
    56,
    57,
    59,
    60,
    62,
    62,
    62,
    62,
    63,
    64,
    64,
    65,
    65,
    65,
    66,
    67,
    68,
    69,
    70,
    70,
    71,
    73,
    73,
    74,
    77,
    78,
    78,
    79,
    79,
    79,
    82,
    83,
    85,
    85,
    86,
    86,
    89,
    89,
    92,
    93,
    95,
    97,
    97,
    98,
    99,
    99,
    101,
    102,
    104,
    106,
    107,
    113,
    120,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
    128,
};
static const struct work works[] = {
    {"bag-train", BAG, "{\"optim\":\"adam\"}", 32, 128, FEED_ZIPF, 2},
    {"bag-train-lazy", BAG, "{\"optim\":\"adam\",\"lazy\":true}", 32, 128, FEED_ZIPF, 2},
    {"mlp-train", MLP, "{\"optim\":\"adam\"}", 128, 0, FEED_VALUES, 10},
    {"resnet20-train", RESNET20, "{\"optim\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"weight_decay\":1e-4}", 128, 0, FEED_VALUES, 10},
    {"minilm-train", MINILM, ADAMW, 32, 128, FEED_IDS, 2},
    {"minilm-train-bf16", MINILM, ADAMW, 32, 128, FEED_IDS, 2, DT_BF16},
    {"minilm-infer", MINILM, NULL, 32, 128, FEED_IDS, 2},
    {"minilm-infer-bf16", MINILM, NULL, 32, 128, FEED_IDS, 2, DT_BF16},
    {"minilm-infer-fp8", MINILM, NULL, 32, 128, FEED_IDS, 2, DT_BF16, true},
    {"minilm-infer-int8", MINILM_I8, NULL, 32, 128, FEED_IDS, 2},
    {"minilm-infer-int8-bf16", MINILM_I8, NULL, 32, 128, FEED_IDS, 2, DT_BF16},
    {"minilm-p1", MINILM, NULL, 1, 128, FEED_IDS, 2},
    {"minilm-p1-bf16", MINILM, NULL, 1, 128, FEED_IDS, 2, DT_BF16},
    {"minilm-p1-int8", MINILM_I8, NULL, 1, 128, FEED_IDS, 2},
    {"minilm-ragged", MINILM, NULL, RAGGED_ROWS, 128, FEED_RAGGED, 2},
    {"minilm-ragged-int8", MINILM_I8, NULL, RAGGED_ROWS, 128, FEED_RAGGED, 2},
    {"bert-train", BERT, ADAMW, 8, 128, FEED_IDS, 2},
    {"bert-train-bf16", BERT, ADAMW, 8, 128, FEED_IDS, 2, DT_BF16},
    {"bert-infer-bf16", BERT, NULL, 8, 128, FEED_IDS, 2, DT_BF16},
    {"bert-infer-fp8", BERT, NULL, 8, 128, FEED_IDS, 2, DT_BF16, true},
    {0},
};
