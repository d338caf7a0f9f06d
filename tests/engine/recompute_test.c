/* Recompute: the same bits of every gradient and weight with and without it, on transformers, residual nets with batch normalisation and plain nets, all
 * with dropout, at several thread counts, together with accumulation; less memory by at least 65 % of the activations on an encoder of 12 layers, as planned;
 * no allocation in steps. The times beside it are printed, not judged. */
#include "config.h"

#include "tests/engine/allocations.h"
#include "tests/engine/step_fix.h"
#include "src/base/thread.h"

#define BLOCK "{\"layer\":\"encoder_block\",\"heads\":4,\"ffn\":192,\"dropout\":0.2}"
#define PRE "{\"layer\":\"encoder_block\",\"heads\":4,\"ffn\":96,\"dropout\":0.2,\"pre\":true,\"gated\":true,\"act\":\"silu\",\"causal\":true,\"rope\":10000}"
#define TEXT(blocks)                                                                                                                                           \
    "{\"input\":{\"ids\":40,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":40,\"dim\":48,\"positions\":16,\"dropout\":0.1}," blocks \
    ",{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}"
#define FOUR(b) b "," b "," b "," b
#define DENSE "{\"layer\":\"linear\",\"out\":64},{\"layer\":\"relu\"},{\"layer\":\"dropout\",\"p\":0.25}"
#define RESIDUAL                                                                                                                                          \
    "{\"layer\":\"residual\",\"layers\":[{\"layer\":\"linear\",\"out\":64},{\"layer\":\"gelu\"},{\"layer\":\"dropout\",\"p\":0.1},{\"layer\":\"linear\"," \
    "\"out\":64}]}"
#define CONV(c, more) "{\"layer\":\"conv2d\",\"out\":" c ",\"k\":3,\"pad\":1,\"bias\":false},{\"layer\":\"batch_norm\"" more "},{\"layer\":\"relu\"}"
#define IMAGE_BLOCK \
    "{\"layer\":\"residual\",\"layers\":[" CONV("16", "") ",{\"layer\":\"conv2d\",\"out\":16,\"k\":3,\"pad\":1},{\"layer\":\"batch_norm\",\"name\":\"z\"}]}"
static const char encoder[] = TEXT(FOUR(BLOCK)), twelve[] = TEXT(FOUR(BLOCK) "," FOUR(BLOCK) "," FOUR(BLOCK)), gpt[] = TEXT(FOUR(PRE));
static const char mlp[] = "{\"input\":30,\"n_class\":3,\"layers\":[" FOUR(DENSE) "," FOUR(DENSE) ",{\"layer\":\"linear\",\"out\":3}]}";
static const char residual[] = "{\"input\":30,\"n_class\":3,\"layers\":[" DENSE "," FOUR(RESIDUAL) ",{\"layer\":\"linear\",\"out\":3}]}";
/* one layer whose input gradients read and that works on elements, and one that reads what that one makes; the same at the end of a net */
static const char chain[] =
    "{\"input\":30,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":64},{\"layer\":\"gelu\"},{\"layer\":\"silu\"},{\"layer\":\"linear\",\"out\":3}]}";
static const char end[] = "{\"input\":30,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":3},{\"layer\":\"gelu\"}]}";
static const char images[] = "{\"input\":[3,8,8],\"n_class\":3,\"layers\":[" CONV("16", "") "," FOUR(
    IMAGE_BLOCK) ",{\"layer\":\"global_pool\"},{\"layer\":\"dropout\",\"p\":0.2},{\"layer\":\"linear\",\"out\":3}]}";

enum { ROWS = 60 };

/* Five steps; the activations planned. pieces: each step in two micro-batches. */
static int train(struct fix *f, bool pieces, struct err *e) {
    for (uint64_t n = 1; n <= 5; n++) {
        double h[CTL_N];
        struct step_result r;
        optimiser_hyper(f->o, 0.01, 1, 0, h);
        struct extents x = put_rows(f, 0, pieces ? 23 : ROWS, 40, 3);
        if (pieces && step_micro(f->s, &x, 2 * n, e) < 0) return -1;
        if (pieces) x = put_rows(f, 23, ROWS, 40, 3);
        if (step_run(f->s, &x, 2 * n + 1, h, &r, e) < 0) return -1;
        if (!r.ok) return err_set(e, "step %d was refused", (int)n);
        optimiser_applied(f->o, 0.01);
    }
    return 0;
}

static void same_bits(const char *what, const char *model, enum recompute how, bool pieces) {
    struct err e = {0};
    struct fix f[2];
    struct step_spec spec = {.rows = ROWS, .tokens = {ROWS * 12}, .accum = pieces};
    if (fix_open(&f[0], model, "{\"optim\":\"adamw\"}", 1, spec, &e) < 0) return (void)tap_ok(false, "%s", what);
    spec.recompute = how;
    if (fix_open(&f[1], model, "{\"optim\":\"adamw\"}", 3, spec, &e) < 0) return (void)tap_ok(false, "%s", what);
    bool ok = train(&f[0], pieces, &e) == 0 && train(&f[1], pieces, &e) == 0;
    size_t a = plan_bytes(f[0].s->plan, ROLE_TEMP), b = plan_bytes(f[1].s->plan, ROLE_TEMP);
    tap_ok(ok && f[1].s->recomputed > 0 && b < a && memcmp(f[0].m->data, f[1].m->data, f[0].m->bytes) == 0,
        "%s: the same bits after 5 steps, %d nodes run twice, activations %zu kB instead of %zu %s", what, f[1].s->recomputed, b >> 10, a >> 10, e.text);
    fix_close(&f[0]);
    fix_close(&f[1]);
}

/* Node i of the graph is a copy of a forward node, whose arguments it shares. */
static bool is_copy(const struct graph *g, int i) {
    const struct node *n = &g->node[i];
    for (int k = 0; k < i && n->phase == PHASE_BACKWARD && !n->own_attr; k++)
        if (g->node[k].phase == PHASE_FORWARD && g->node[k].op == n->op && g->node[k].attr == n->attr && strcmp(g->node[k].path, n->path) == 0) return true;
    return false;
}
/* What is computed again in a step of a model: how many nodes (-1: not as many as the step says), how many of them of the last and the first block, of gelu,
 * of batch norms and of the dropout in front of the last product of `mlp`; kB of activations. */
struct again {
    int all, last, first, gelu, before, norm;
    size_t kb;
};
static struct again again(const char *model, enum recompute how) {
    struct again a = {0};
    struct err e = {0};
    struct fix f;
    if (fix_open(&f, model, "\"adamw\"", 1, (struct step_spec){.rows = ROWS, .tokens = {ROWS * 12}, .recompute = how}, &e) < 0)
        return (struct again){.all = -1};
    const struct graph *g = f.s->g;
    for (int i = 0; i < g->n_node; i++) {
        if (!is_copy(g, i)) continue;
        a.all++;
        a.last += g->node[i].part == 3;
        a.first += g->node[i].part == 0;
        a.gelu += strcmp(g->node[i].op->kind.name, "gelu") == 0;
        a.norm += strcmp(g->node[i].op->kind.name, "batch_norm") == 0;
        a.before += strcmp(g->node[i].path, "dropout8") == 0;
    }
    if (a.all != f.s->recomputed) a.all = -1;
    a.kb = plan_bytes(f.s->plan, ROLE_TEMP) >> 10;
    fix_close(&f);
    return a;
}

/* What needs no second computation has none: the last part, whose gradient comes next; without parts, what is no activation whose input gradients read. */
static void no_more(void) {
    struct again a = again(encoder, RECOMPUTE_BLOCKS), b = again(encoder, RECOMPUTE_AUTO);
    tap_ok(a.all > 0 && a.last == 0 && 3 * a.first == a.all, "blocks: %d nodes of each but the last run twice, %d of the last", a.first, a.last);
    tap_ok(b.all > 0 && b.kb < a.kb, "encoder, parts chosen: %zu kB of activations, %zu by blocks", b.kb, a.kb);
    a = again(images, RECOMPUTE_BLOCKS), b = again(images, RECOMPUTE_AUTO);
    tap_ok(a.norm == 3, "blocks of images: %d batch norms run twice, of each block but the last the one whose output gradients read", a.norm);
    tap_ok(b.all > 0 && b.kb < a.kb, "residual net of images, parts chosen: %zu kB of activations, %zu by blocks", b.kb, a.kb);
    a = again(mlp, RECOMPUTE_AUTO);
    tap_ok(a.all > 0 && a.before == 0, "plain net, parts chosen: %d nodes run twice, %d of what the last product reads", a.all, a.before);
    a = again(encoder, RECOMPUTE_LIGHT);
    tap_ok(a.all == 4 && a.gelu == 4, "encoder, activations alone: %d nodes run twice, %d of them gelu", a.all, a.gelu);
    a = again(gpt, RECOMPUTE_LIGHT), b = again(mlp, RECOMPUTE_LIGHT);
    tap_ok(
        a.all == 0 && b.all == 0, "activations alone: %d of a gated net, whose gate takes halves, %d of relu, whose gradient reads what it made", a.all, b.all);
    a = again(chain, RECOMPUTE_LIGHT), b = again(end, RECOMPUTE_LIGHT);
    tap_ok(a.all == 1 && a.gelu == 1, "gelu, then silu, which reads what is not there: %d run twice, %d gelu", a.all, a.gelu);
    tap_ok(b.all == 0, "the output of a model stays: %d run twice", b.all);
}

/* Bytes of activations: what a plan that keeps everything for the backward pass has more than its largest node needs is not known to the plan, so the arena
 * itself is compared. */
static void twelve_layers(void) {
    struct err e = {0};
    struct fix f[2];
    double seconds[2] = {0};
    size_t bytes[2] = {0};
    long made = 0;
    for (int i = 0; i < 2; i++) {
        if (fix_open(&f[i], twelve, "\"adamw\"", 1, (struct step_spec){.rows = ROWS, .tokens = {ROWS * 12}, .recompute = i ? RECOMPUTE_BLOCKS : RECOMPUTE_NONE},
                &e) < 0)
            return (void)tap_ok(false, "12 layers");
        bytes[i] = plan_bytes(f[i].s->plan, ROLE_TEMP);
        train(&f[i], false, &e);
#ifdef COUNTED
        long before = allocations;
#endif
        double t = clock_now();
        train(&f[i], false, &e);
        seconds[i] = clock_now() - t;
#ifdef COUNTED
        made += allocations - before;
#endif
    }
    tap_ok(bytes[1] <= 0.35 * (double)bytes[0], "12 layers: %zu kB of activations instead of %zu, %.1f %% less", bytes[1] >> 10, bytes[0] >> 10,
        100 - 100.0 * (double)bytes[1] / (double)bytes[0]);
    printf("# 12 layers: %.2f times the step\n", seconds[1] / seconds[0]);
#ifdef COUNTED
    tap_ok(made == 0, "steps with recompute make %ld allocations", made);
#else
    tap_skip("steps with recompute allocate nothing", "a sanitizer owns the allocator");
#endif
    fix_close(&f[0]);
    fix_close(&f[1]);
}

int main(void) {
    struct gemm_info info;
    struct err e = {0};
    struct fix f;
    gemm_open(NULL, &info);
    ops_select("auto", &e);
    same_bits("encoder", encoder, RECOMPUTE_BLOCKS, false);
    same_bits("encoder, parts chosen", encoder, RECOMPUTE_AUTO, false);
    same_bits("gated, causal, normalised before", gpt, RECOMPUTE_BLOCKS, false);
    same_bits("encoder of 12 layers, two micro-batches a step", twelve, RECOMPUTE_BLOCKS, true);
    same_bits("residual net", residual, RECOMPUTE_BLOCKS, false);
    same_bits("residual net of images", images, RECOMPUTE_BLOCKS, false);
    same_bits("residual net of images, parts chosen", images, RECOMPUTE_AUTO, true);
    same_bits("encoder, activations alone", encoder, RECOMPUTE_LIGHT, false);
    same_bits("plain net, parts chosen", mlp, RECOMPUTE_AUTO, false);
    no_more();
    twelve_layers();
    bool refused = fix_open(&f, mlp, "\"adam\"", 1, (struct step_spec){.rows = ROWS, .recompute = RECOMPUTE_BLOCKS}, &e) < 0;
    tap_ok(refused && strstr(e.text, "recompute=auto"), "a model without blocks: %s", e.text);
    return tap_done();
}
