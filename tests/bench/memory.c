/* Memory and time of encoder training steps: as they are, with recompute of blocks, and in four micro-batches, each beside the first in interleaved
 * samples. What is planned and what the process really had resident, so that the two can be compared. Not part of make check. `memory peak` lists what lives
 * where the plan of the MiniLM step is largest; `memory whole`, blocks, auto, light or accum: that one alone. */
#include "tests/engine/step_fix.h"

#include <stdio.h>

#include "engine/graph/plan_priv.h"
#include "src/base/thread.h"

#define BLOCK "{\"layer\":\"encoder_block\",\"heads\":12,\"ffn\":1536,\"eps\":1e-5}"
#define THREE BLOCK "," BLOCK "," BLOCK
#define ENCODER(blocks)                                                                                                                            \
    "{\"input\":{\"ids\":30522,\"len\":128},\"n_class\":2,\"layers\":[{\"layer\":\"text_embedding\",\"n\":30522,\"dim\":384,\"eps\":1e-5}," blocks \
    ",{\"layer\":\"first_token\"},{\"layer\":\"linear\",\"out\":2}]}"
static const char six[] = ENCODER(THREE "," THREE), twelve[] = ENCODER(THREE "," THREE "," THREE "," THREE);

static size_t resident(const char *what) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kb = 0, n = strlen(what);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, what, n) == 0 && line[n] == ':') kb = strtoull(line + n + 1, NULL, 10);
    if (f) fclose(f);
    return kb << 10;
}

static void fill(const struct fix *f, int64_t rows) {
    int32_t *offsets, *x = step_input(f->s, 0, &offsets, NULL), *y = step_target(f->s);
    for (int64_t i = 0; i < rows * 128; i++) x[i] = (int32_t)rng_below(2, 0, (uint64_t)i, 30522);
    for (int64_t r = 0; r <= rows; r++) offsets[r] = (int32_t)(r * 128);
    for (int64_t r = 0; r < rows; r++) y[r] = (int32_t)(r % 2);
}

/* One step of `pieces` micro-batches; seconds. */
static double step_once(struct fix *f, int64_t rows, int pieces, uint64_t n) {
    struct extents x = step_extents(f->s, rows, (int64_t[]){rows * 128}, 1);
    struct step_result r;
    struct err e = {0};
    double h[CTL_N], t = clock_now();
    optimiser_hyper(f->o, 1e-4, 1, 0, h);
    for (int i = 1; i < pieces; i++) step_micro(f->s, &x, n * 8 + (uint64_t)i, &e);
    if (step_run(f->s, &x, n * 8, h, &r, &e) < 0 || !r.ok) printf("the step failed: %s\n", e.text);
    optimiser_applied(f->o, 1e-4);
    return clock_now() - t;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

enum { ROUNDS = 5 };
static void pair(const char *what, const char *model, int64_t rows, struct step_spec other, int pieces) {
    struct err e = {0};
    struct fix f[2];
    double t[2][ROUNDS];
    other.rows = rows / pieces, other.tokens[0] = rows / pieces * 128;
    if (fix_open(&f[0], model, "\"adamw\"", 1, (struct step_spec){.rows = rows, .tokens = {rows * 128}}, &e) < 0 ||
        fix_open(&f[1], model, "\"adamw\"", 1, other, &e) < 0)
        return;
    fill(&f[0], rows);
    fill(&f[1], rows / pieces);
    for (int i = -1; i < ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            double s = step_once(&f[k], k ? rows / pieces : rows, k ? pieces : 1, (uint64_t)(i + 2));
            if (i >= 0) t[k][i] = s * 1e3;
        }
    double a = median(t[0], ROUNDS), b = median(t[1], ROUNDS), x = (double)plan_bytes(f[0].s->plan, ROLE_TEMP), y = (double)plan_bytes(f[1].s->plan, ROLE_TEMP);
    printf("%-28s activations %6.1f -> %6.1f MiB (%.1f %% less)   step %.1f -> %.1f ms (%.3f x)\n", what, x / 1048576, y / 1048576, 100 - 100 * y / x, a, b,
        b / a);
    fix_close(&f[0]);
    fix_close(&f[1]);
}

static void whole(void) {
    struct err e = {0};
    struct fix f;
    size_t before = resident("VmRSS");
    if (fix_open(&f, six, "\"adamw\"", 1, (struct step_spec){.rows = 32, .tokens = {32 * 128}}, &e) < 0) return;
    fill(&f, 32);
    for (uint64_t n = 1; n <= 3; n++) step_once(&f, 32, 1, n);
    printf("minilm-train: planned %.1f MiB, resident at most %.1f MiB more than at the start\n", (double)step_memory(f.s, NULL) / 1048576,
        (double)(resident("VmHWM") - before) / 1048576);
    fix_close(&f);
}

/* What is live at the step where most is. */
static void peak(const char *model, enum recompute how) {
    struct err e = {0};
    struct fix f;
    if (fix_open(&f, model, "\"adamw\"", 1, (struct step_spec){.rows = 32, .tokens = {32 * 128}, .recompute = how}, &e) < 0) return;
    const struct plan *p = f.s->plan;
    double most = 0;
    int at = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int s = pass ? at : 0; s < (pass ? at + 1 : p->n_step); s++) {
            double sum = 0;
            for (int t = 0; t < p->g->n_tensor; t++) {
                const struct tensor *x = &p->g->tensor[t];
                if (p->place[t].root != t || x->role != ROLE_TEMP || p->place[t].first < 0 || p->place[t].first > s || p->place[t].last < s) continue;
                double b = (double)tensor_bytes(x, &p->max);
                sum += b;
                if (pass && b > 1 << 16) printf("  %8.2f MiB  %-20s %s\n", b / 1048576, p->g->node[x->node].op->kind.name, p->g->node[x->node].path);
            }
            if (!pass && sum > most) most = sum, at = s;
        }
    const struct node *n = &p->g->node[p->step_node[at]];
    printf("%.1f MiB live at %s of %s; placed in %.1f MiB, scratch %.1f MiB\n", most / 1048576, n->op->kind.name, n->path,
        (double)p->bytes[ROLE_TEMP] / 1048576, (double)p->scratch / 1048576);
    fix_close(&f);
}

int main(int argc, char **argv) {
    struct gemm_info info;
    struct err e = {0};
    gemm_open(NULL, &info);
    ops_select("auto", &e);
    if (argc > 1 && strcmp(argv[1], "peak") == 0) {
        peak(six, RECOMPUTE_NONE);
        peak(twelve, RECOMPUTE_BLOCKS);
        return 0;
    }
    const char *only = argc > 1 ? argv[1] : "";
    if (!*only || strcmp(only, "whole") == 0) whole();
    if (!*only || strcmp(only, "blocks") == 0) pair("12 layers, blocks", twelve, 8, (struct step_spec){.recompute = RECOMPUTE_BLOCKS}, 1);
    if (!*only || strcmp(only, "auto") == 0) pair("12 layers, auto", twelve, 8, (struct step_spec){.recompute = RECOMPUTE_AUTO}, 1);
    if (!*only || strcmp(only, "light") == 0) pair("12 layers, light", twelve, 8, (struct step_spec){.recompute = RECOMPUTE_LIGHT}, 1);
    if (!*only || strcmp(only, "accum") == 0) pair("12 layers, 4 micro-batches", twelve, 16, (struct step_spec){.accum = true}, 4);
    return 0;
}
