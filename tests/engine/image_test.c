/* Image models as a whole: batch normalisation with the sum and ReLU behind it joined gives what the three give one by one, values and gradients; a small
 * residual net trains to the same bits at 1, 2, 3, 4 and 8 threads, and its running statistics move. */
#include <math.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/train/step.h"
#include "src/base/json.h"
#include "src/base/err.h"
#include "src/base/rng.h"
#include "tests/tap.h"

enum { N = 5, C = 16, HW = 6, LEN_X = N * C * HW * HW };

/* relu(batch_norm(conv(x)) + x): y, dx and the gradient of the gain behind one another. */
static int joined(bool fuse, double *out, int *nodes, struct err *e) {
    struct graph *g = graph_new(DT_F32, true, 1);
    struct dim img[] = {{1, AXIS_R}, {C, 0}, {HW, 0}, {HW, 0}}, w[] = {{C, 0}, {C, 0}, {3, 0}, {3, 0}}, one[] = {{C, 0}};
    tid x = graph_input(g, "x", DT_F32, img, 4, -1), k = graph_input(g, "w", DT_F32, w, 4, -1), v[4], all[OP_OUT], grad[2],
        seed = graph_input(g, "seed", DT_F32, img, 4, -1);
    for (int i = 0; i < 4; i++) v[i] = graph_input(g, (const char *[]){"gain", "bias", "mean", "var"}[i], DT_F32, one, 1, -1);
    tid y = graph_attr(g, "conv2d", "pad=1", (tid[]){x, k}, 2, NULL, e);
    y = graph_attr(g, "batch_norm", NULL, (tid[]){y, v[0], v[1], v[2], v[3]}, 5, all, e);
    y = graph_add1(g, "relu", graph_add2(g, "add", x, y, e), e);
    tid look = graph_attr(g, "relayout", NULL, &y, 1, NULL, e), want[] = {x, v[0]};
    int rc = look < 0 || (fuse && fuse_forward(g, e) < 0) || grad_build(g, look, seed, want, 2, grad, e) < 0 ? -1 : 0;
    if (rc == 0 && graph_tensor(g, grad[0])->block) grad[0] = graph_add1(g, "relayout", grad[0], e);
    tid keep[] = {look, grad[0], grad[1]};
    struct extents ex = {{1, N, N + 1}};
    struct plan *p = rc == 0 ? plan_new(g, &ex, &(struct plan_options){.keep = keep, .n_keep = 3}, e) : NULL;
    if (p && plan_alloc(p, e) == 0) {
        tid in[] = {x, k, v[0], v[1], v[2], v[3], seed};
        for (int i = 0; i < 7; i++)
            for (int64_t j = 0; j < tensor_len(graph_tensor(g, in[i]), &ex); j++)
                ((float *)plan_data(p, in[i]))[j] = (float)rng_unit(3, (uint64_t)i, (uint64_t)j) - (i < 2 || i == 6 ? 0.5f : 0);
        rc = plan_run(p, &ex, PHASE_FORWARD, PHASE_UPDATE, e);
        for (int i = 0, at = 0; rc == 0 && i < 3; i++)
            for (int64_t j = 0; j < tensor_len(graph_tensor(g, keep[i]), &ex); j++) out[at++] = ((float *)plan_data(p, keep[i]))[j];
    } else rc = -1;
    struct node_time nt[64];
    *nodes = p ? (int)plan_profile(p, nt, LEN(nt)) : 0;
    plan_free(p);
    graph_free(g);
    return rc;
}

static const char net[] = "{\"input\":[3,16,16],\"n_class\":10,\"layers\":[{\"layer\":\"conv2d\",\"out\":16,\"k\":3,\"pad\":1,\"bias\":false},{\"layer\":"
                          "\"batch_norm\"},{\"layer\":\"relu\",\"name\":\"a\"},"
                          "{\"layer\":\"conv2d\",\"out\":32,\"k\":3,\"stride\":2,\"pad\":1},{\"layer\":\"batch_norm\",\"name\":\"n\"},{\"layer\":\"pad_"
                          "shortcut\",\"out\":32,\"name\":\"s\",\"from\":[\"a\"]},"
                          "{\"layer\":\"add\",\"from\":[\"n\",\"s\"]},{\"layer\":\"relu\"},{\"layer\":\"max_pool2d\"},{\"layer\":\"global_pool\"},{\"layer\":"
                          "\"linear\",\"out\":10}]}";

/* Trains 10 steps; the weights afterwards. */
static struct model *trained(int threads, double *first, double *last, struct err *e) {
    static const char sgd[] = "{\"optim\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}";
    struct val *user = json_parse(net, sizeof net - 1, "net", e), *spec = json_parse(sgd, sizeof sgd - 1, "sgd", e), *desc = model_describe(user, NULL, e);
    struct model *m = desc ? model_new(desc, 1, e) : NULL;
    struct optimiser *o = optimiser_new(spec, e);
    struct pool *p = pool_new(threads, e);
    struct loss_spec loss;
    loss_init(&loss, NULL, true, e);
    struct step *s = m && o && p ? step_new(&(struct step_spec){.model = m, .loss = &loss, .optim = o, .pool = p, .seed = 1, .rows = 37}, e) : NULL;
    for (int i = 0; s && i < 37 * 768; i++) ((float *)step_input(s, 0, NULL, NULL))[i] = (float)rng_unit(1, 0, (uint64_t)i);
    for (int i = 0; s && i < 37; i++) ((int32_t *)step_target(s))[i] = i % 10;
    for (uint64_t i = 0; s && i < 10; i++) {
        struct extents x = step_extents(s, 37, NULL, 0);
        struct step_result r;
        double hyper[CTL_N];
        optimiser_hyper(o, 0.05, 0, 0, hyper);
        if (step_run(s, &x, i, hyper, &r, e) < 0) break;
        optimiser_applied(o, 0.05);
        *(i ? last : first) = r.loss;
    }
    step_free(s);
    loss_release(&loss);
    pool_free(p);
    optimiser_free(o);
    val_free(user);
    val_free(spec);
    return m;
}

int main(void) {
    static const int threads[] = {1, 2, 3, 4, 8};
    static double a[2 * LEN_X + C], b[2 * LEN_X + C];
    struct gemm_info info;
    struct err e = {0};
    int apart = 0, together = 0;
    gemm_open(NULL, &info);
    ops_select("auto", &e);
    bool ran = joined(false, a, &apart, &e) == 0 && joined(true, b, &together, &e) == 0;
    double diff = 0, norm = 0, first = 0, last = 0;
    for (int i = 0; i < 2 * LEN_X + C; i++) diff += (a[i] - b[i]) * (a[i] - b[i]), norm += a[i] * a[i];
    tap_ok(ran && together < apart, "the sum and ReLU join batch_norm: %d nodes instead of %d %s", together, apart, e.text);
    tap_ok(norm > 0 && sqrt(diff / norm) < 1e-6, "joined and apart agree to %.1e", sqrt(diff / norm));
    struct model *one = trained(1, &first, &last, &e);
    tap_ok(one && last < first, "a small residual net learns: loss %.3f to %.3f %s", first, last, e.text);
    for (int i = 0; one && i < one->n_param; i++)
        if (strcmp(one->param[i].name, "n.running_var") == 0)
            tap_ok(!one->param[i].trainable && *(float *)((char *)one->data + one->param[i].offset) < 0.9f, "running variances move and are not trained");
    for (size_t i = 1; one && i < LEN(threads); i++) {
        struct model *m = trained(threads[i], &first, &last, &e);
        tap_ok(m && memcmp(m->data, one->data, one->bytes) == 0, "the same bits on %d threads as on one", threads[i]);
        model_free(m);
    }
    model_free(one);
    return tap_done();
}
