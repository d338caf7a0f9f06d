/* Gradient accumulation: unequal micro-batches of values and ragged texts make the step of one batch, to rounding, with dense and row-sparse gradients,
 * clipping, and batch normalisation's statistics after each; a micro-batch that is not finite holds the whole step back; a new step begins a new sum. */
#include "tests/engine/step_fix.h"

enum { ROWS = 24, STEPS = 5, IDS = 40 };
static const int64_t cut[] = {0, 7, 18, ROWS}; /* micro-batches of 7, 11 and 6 rows */

static const char bag[] = "{\"input\":{\"ids\":40,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":40,\"dim\":24},{\"layer\":\"mean_pool\"}"
                          ",{\"layer\":\"linear\",\"out\":3}]}";
static const char mlp[] = "{\"input\":30,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":32},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":3}]}";
static const char encoder[] = "{\"input\":{\"ids\":40,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":40,\"dim\":16,\"positions\":16}"
                              ",{\"layer\":\"encoder_block\",\"heads\":2,\"ffn\":32},"
                              "{\"layer\":\"encoder_block\",\"heads\":2,\"ffn\":32},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}";
static const char normed[] = "{\"input\":[3,8,8],\"n_class\":3,\"layers\":[{\"layer\":\"conv2d\",\"out\":16,\"k\":3,\"pad\":1},{\"layer\":\"batch_norm\","
                             "\"name\":\"n\"},{\"layer\":\"relu\"},{\"layer\":\"global_pool\"},"
                             "{\"layer\":\"linear\",\"out\":3}]}";

/* One step over ROWS rows, as one batch or in pieces. poison: this row's first value is NaN. */
static int step_of(struct fix *f, bool pieces, uint64_t n, int64_t poison, struct step_result *r, struct err *e) {
    double h[CTL_N];
    optimiser_hyper(f->o, 0.05, 0.7, 0, h);
    for (size_t i = 0; i + 1 < LEN(cut); i++) {
        int64_t from = pieces ? cut[i] : 0, to = pieces ? cut[i + 1] : ROWS;
        struct extents x = put_rows(f, from, to, IDS, 3);
        if (poison >= from && poison < to) ((float *)step_input(f->s, 0, NULL, NULL))[(poison - from) * 30] = NAN;
        if (to < ROWS && step_micro(f->s, &x, n * 3 + i, e) < 0) return -1;
        if (to == ROWS) return step_run(f->s, &x, n * 3 + i, h, r, e);
    }
    return -1;
}

static void equal(const char *what, const char *model, const char *optim) {
    struct err e = {0};
    struct fix f[2];
    struct step_spec spec = {.rows = ROWS, .tokens = {ROWS * 12}};
    double loss = 0, norm = 0, hits = 0;
    bool ok = true;
    if (fix_open(&f[0], model, optim, 2, spec, &e) < 0) return (void)tap_ok(false, "%s", what);
    spec = (struct step_spec){.rows = 11, .tokens = {11 * 12}, .accum = true};
    if (fix_open(&f[1], model, optim, 2, spec, &e) < 0) return (void)tap_ok(false, "%s", what);
    for (uint64_t n = 0; n < STEPS && ok; n++) {
        struct step_result r[2];
        for (int i = 0; i < 2; i++) {
            ok = ok && step_of(&f[i], i == 1, n, -1, &r[i], &e) == 0 && r[i].ok;
            optimiser_applied(f[i].o, 0.05);
        }
        loss = fmax(loss, fabs(r[0].loss - r[1].loss) / r[0].loss), norm = fmax(norm, fabs(r[0].grad_norm - r[1].grad_norm) / r[0].grad_norm);
        hits = fmax(hits, fabs(r[0].hits - r[1].hits)), ok = ok && r[0].weight == ROWS && r[1].weight == ROWS;
    }
    double d = apart(f[0].m, f[1].m);
    tap_ok(ok && d < 1e-6 && loss < 1e-6 && norm < 1e-6 && hits == 0,
        "%s: 7 + 11 + 6 rows are one batch of 24 after %d steps: weights to %.1e, loss to %.1e, norm to %.1e %s", what, STEPS, d, loss, norm, e.text);
    fix_close(&f[0]);
    fix_close(&f[1]);
}

/* The sums take the place of the gradients: no second arena; and batches of a third of the rows need less than the whole. */
static void memory(void) {
    struct err e = {0};
    struct fix a, b;
    if (fix_open(&a, encoder, "\"adam\"", 1, (struct step_spec){.rows = 11, .tokens = {11 * 12}}, &e) < 0) return (void)tap_ok(false, "memory");
    if (fix_open(&b, encoder, "\"adam\"", 1, (struct step_spec){.rows = 11, .tokens = {11 * 12}, .accum = true}, &e) < 0) return (void)tap_ok(false, "memory");
    size_t table = IDS * 16 * 4 + 3 * IDS * 4 + 4 * 64, ga = plan_bytes(a.s->plan, ROLE_GRAD), gb = plan_bytes(b.s->plan, ROLE_GRAD);
    tap_ok(gb <= ga + table, "gradients and sums take %zu bytes, gradients alone %zu and the table's sum at most %zu", gb, ga, table);
    fix_close(&a);
    fix_close(&b);
}

static void not_finite(void) {
    struct err e = {0};
    struct fix f;
    struct step_result r;
    if (fix_open(&f, mlp, "{\"optim\":\"adam\"}", 1, (struct step_spec){.rows = 11, .accum = true}, &e) < 0) return (void)tap_ok(false, "not finite");
    bool ok = true;
    for (int64_t row = 0; row < ROWS; row += 5) {
        float *before = mem_new(1, f.m->bytes);
        memcpy(before, f.m->data, f.m->bytes);
        ok = ok && step_of(&f, true, 1, row, &r, &e) == 0 && !r.ok && memcmp(before, f.m->data, f.m->bytes) == 0;
        ok = ok && step_of(&f, true, 2, -1, &r, &e) == 0 && r.ok && isfinite(r.loss) && memcmp(before, f.m->data, f.m->bytes) != 0;
        free(before);
    }
    tap_ok(ok, "NaN in any of three micro-batches: no weight moves; the step after it is whole again %s", e.text);
    fix_close(&f);
}

/* Running statistics move with every micro-batch, as in PyTorch. */
static void statistics(void) {
    struct err e = {0};
    struct fix f;
    struct step_result r;
    if (fix_open(&f, normed, "{\"optim\":\"sgd\",\"lr\":0.05}", 1, (struct step_spec){.rows = 11, .accum = true}, &e) < 0)
        return (void)tap_ok(false, "statistics");
    double got = 0;
    const struct param *mean = NULL;
    for (int i = 0; i < f.m->n_param; i++)
        if (strcmp(f.m->param[i].name, "n.running_mean") == 0) mean = &f.m->param[i];
    const float *now = (const float *)((const char *)f.m->data + mean->offset);
    bool ok = true, moved = true;
    for (size_t i = 0; i + 1 < LEN(cut); i++) {
        float before[16];
        struct extents x = put_rows(&f, cut[i], cut[i + 1], IDS, 3);
        memcpy(before, now, sizeof before);
        if (i + 2 < LEN(cut)) ok = ok && step_micro(f.s, &x, i, &e) == 0;
        else {
            double h[CTL_N];
            optimiser_hyper(f.o, 0.05, 0, 0, h);
            ok = ok && step_run(f.s, &x, i, h, &r, &e) == 0;
        }
        moved = moved && memcmp(before, now, sizeof before) != 0;
    }
    for (int i = 0; i < 16; i++) got += fabs((double)now[i]);
    tap_ok(ok && moved && isfinite(got), "running statistics move with each micro-batch %s", e.text);
    fix_close(&f);
}

int main(void) {
    struct gemm_info info;
    struct err e = {0};
    gemm_open(NULL, &info);
    ops_select("auto", &e);
    equal("values", mlp, "{\"optim\":\"adam\"}");
    equal("values, momentum", mlp, "{\"optim\":\"sgd\",\"momentum\":0.9,\"weight_decay\":0.01}");
    equal("texts, every row of the table", bag, "{\"optim\":\"sgd\",\"momentum\":0.9}");
    equal("texts, touched rows", bag, "{\"optim\":\"sgd\",\"momentum\":0.9,\"lazy\":true}");
    equal("texts, adagrad on touched rows", bag, "{\"optim\":\"adagrad\",\"lazy\":true,\"eps\":0.01}");
    equal("an encoder", encoder, "{\"optim\":\"sgd\",\"momentum\":0.9}");
    memory();
    not_finite();
    statistics();
    return tap_done();
}
