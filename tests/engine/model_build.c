/* Models from descriptions: parameter counts, products, first weights, wiring, messages of wrong descriptions; a bag and an MLP that learn by plain steps. */
#include <stdlib.h>

#include "engine/graph/op.h"
#include "engine/model/model.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static struct val *parse(const char *json) {
    struct err e = {0};
    struct val *v = json_parse(json, strlen(json), "test", &e);
    if (!v) printf("# %s\n", e.text);
    return v;
}
static struct model *model_of(const char *json, struct err *e) {
    struct val *u = parse(json), *d = model_describe(u, NULL, e);
    val_free(u);
    return d ? model_new(d, 1, e) : NULL;
}
#define BAG                                                                                                                                                    \
    "{\"input\":{\"ids\":10000,\"len\":128},\"classes\":2,\"layers\":[{\"layer\":\"embedding\",\"n\":10000,\"dim\":128},{\"layer\":\"mean_pool\"},{\"layer\":" \
    "\"linear\",\"out\":2}]}"
#define MLP                                                                                                                                            \
    "{\"input\":[1,28,28],\"layers\":[{\"layer\":\"flatten\"},{\"layer\":\"linear\",\"out\":512,\"act\":\"relu\"},{\"layer\":\"dropout\",\"p\":0.2},{" \
    "\"layer\":\"linear\",\"out\":10}]}"

static void counts(void) {
    struct err e = {0};
    struct model *m = model_of(BAG, &e);
    tap_ok(m && model_params(m) == 1280258, "Embedding(10000, 128), mean, linear 2: exactly 1,280,258 parameters%s%s", m ? "" : ": ", e.text);
    tap_ok(m && model_macs(m, 128, &e) == 256, "its products are those of the linear layer");
    tap_ok(m && m->n_param == 3 && strcmp(m->param[0].name, "embedding1.weight") == 0 && m->param[0].table && strcmp(m->param[2].name, "linear1.bias") == 0,
        "parameter names and the table mark");
    float lo = 0, hi = 0;
    for (int64_t i = 0; m && i < m->param[0].len; i++) {
        lo = m->data[i] < lo ? m->data[i] : lo;
        hi = m->data[i] > hi ? m->data[i] : hi;
    }
    tap_ok(lo < -0.0499f && lo >= -0.05f && hi > 0.0499f && hi <= 0.05f, "embeddings start uniform in (-0.05, 0.05)");
    model_free(m);
    m = model_of(MLP, &e);
    tap_ok(m && model_params(m) == 407050, "784-512-10: 407,050 parameters%s%s", m ? "" : ": ", e.text);
    tap_ok(m && model_macs(m, 0, &e) == 784 * 512 + 5120, "products of 784-512-10");
    tap_ok(m && model_outputs(m, &e) == 10, "output width");
    struct model *g = model_of("{\"input\":[6,9,8],\"layers\":[{\"layer\":\"conv2d\",\"out\":4,\"k\":[3,2],\"groups\":2,\"stride\":[2,1]},{\"layer\":"
                               "\"flatten\"},{\"layer\":\"linear\",\"out\":3}]}",
        &e);
    tap_ok(g && model_params(g) == 4 * 3 * 6 + 4 + 3 * 112 + 3 && model_macs(g, 0, &e) == 4 * 28 * 3 * 6 + 3 * 112,
        "a convolution in two groups: %lld products %s", g ? (long long)model_macs(g, 0, &e) : -1LL, e.text);
    model_free(g);
    double big = 0, sum = 0;
    for (int64_t i = 0; m && i < m->param[0].len; i++) {
        big = fmax(big, fabs(m->data[i]));
        sum += (double)m->data[i] * m->data[i];
    }
    tap_near(big, 1 / 28.0, 1e-4, "linear weights start in +-1/sqrt(inputs)");
    tap_near(sum / 401408, 1 / 784.0 / 3, 1e-5, "with the variance of the uniform distribution");
    struct buf b = BUF_INIT;
    if (m) model_summary(m, &b);
    tap_ok(b.data && strstr(b.data, "407,050") && strstr(b.data, "linear1") && strstr(b.data, "406,528"), "the summary shows layers, parameters and products");
    printf("# %s\n", b.data ? b.data : "");
    buf_release(&b);
    tap_near(m ? model_live(m, "dropout1.p") : 0, 0.2, 0, "a live value is read by its path");
    tap_ok(m && model_live_set(m, "dropout", 0.4, &e) == 0 && model_live(m, "dropout1.p") == 0.4 && model_live_set(m, "dropout9.p", 0.1, &e) < 0,
        "and set, all at once by the layer kind");
    struct model *c = m ? model_clone(m) : NULL;
    tap_ok(c && memcmp(c->data, m->data, m->bytes) == 0 && c->data != m->data && val_equal(c->desc, m->desc), "a clone has the same bits");
    model_free(c);
    model_free(m);
}

static void wiring(void) {
    struct err e = {0};
    struct model *m = model_of("{\"input\":8,\"layers\":[{\"layer\":\"linear\",\"out\":8,\"name\":\"a\"},{\"layer\":\"tanh\"},{\"layer\":\"linear\",\"out\":8,"
                               "\"name\":\"b\",\"from\":\"x\"},"
                               "{\"layer\":\"linear\",\"out\":8,\"share\":\"a\"},{\"layer\":\"add\",\"from\":[\"b\",\"linear1\",\"tanh1\"]},"
                               "{\"layer\":\"residual\",\"layers\":[{\"layer\":\"linear\",\"out\":8},{\"layer\":\"relu\"}]},{\"layer\":\"linear\",\"out\":3}]}",
        &e);
    tap_ok(m && model_params(m) == 3 * 72 + 27, "from, share and residual: %lld parameters%s%s", m ? (long long)model_params(m) : -1LL, m ? "" : ": ", e.text);
    tap_ok(m && strcmp(m->param[4].name, "residual1.linear1.weight") == 0, "paths of inner layers");
    struct val *again = m ? model_describe(m->desc, NULL, &e) : NULL;
    tap_ok(again && val_equal(val_get(again, "layers"), val_get(m->desc, "layers")), "describing a description changes nothing%s%s", again ? "" : ": ", e.text);
    val_free(again);
    model_free(m);
}

static void wrong(void) {
    static const struct {
        const char *json, *says;
    } bad[] = {{"{\"input\":4,\"layers\":[{\"layer\":\"linaer\",\"out\":2}]}", "did you mean \"linear\""},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":2},null,{\"layer\":\"relu\"}]}", "item 2 of the list is nil"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\"}]}", "out"}, {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":0}]}", "0"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":2,\"from\":\"lin\"}]}", "no earlier layer"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"relu\",\"name\":\"a\"},{\"layer\":\"relu\",\"name\":\"a\"}]}", "is taken"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"relu\",\"name\":\"a.b\"}]}", "letters, digits"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":2,\"share\":\"z\"}]}", "to share weights with"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":2,\"name\":\"a\"},{\"layer\":\"linear\",\"out\":3,\"share\":\"a\"}]}", "another shape"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"mean_pool\"}]}", "over the tokens of texts"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"embedding\",\"n\":3,\"dim\":2}]}", "takes ids"},
        {"{\"input\":{\"ids\":100},\"layers\":[{\"layer\":\"embedding\",\"n\":50,\"dim\":2}]}", "has 50 rows but the input has 100 ids"},
        {"{\"input\":4,\"layers\":[]}", "no layers"}, {"{\"layers\":[{\"layer\":\"relu\"}]}", "1 to 4 inputs"},
        {"{\"input\":-4,\"layers\":[{\"layer\":\"relu\"}]}", "extents from 1"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"add\",\"from\":[\"x\"]}]}", "takes 2 to 8 inputs"},
        {"{\"input\":4,\"layesr\":[{\"layer\":\"relu\"}]}", "did you mean \"layers\""},
        {"{\"input\":4,\"layers\":[{\"layer\":\"reshape\",\"shape\":[3,-1]}]}", "holds 3 values"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"dropout\",\"p\":2}]}", "2"}, {"{\"input\":4,\"layers\":[7]}", "not a layer"}};
    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e = {0};
        struct model *m = model_of(bad[i].json, &e);
        tap_ok(!m && strstr(e.text, bad[i].says), "wrong description %zu: %s", i + 1, m ? "accepted" : e.text);
        model_free(m);
    }
}

/* How many nodes of an op a model has when it trains, and when it does not. */
static int count(const char *json, const char *op, bool training, struct err *e) {
    struct model *m = model_of(json, e);
    struct graph *g = graph_new(DT_F32, training, 1);
    struct model_io *io = X_NEW(struct model_io, 1);
    int n = m && model_build(m, g, io, e) == 0 ? 0 : -1;
    for (int i = 0; n >= 0 && i < g->n_node; i++) n += strcmp(g->node[i].op->kind.name, op) == 0;
    free(io);
    graph_free(g);
    model_free(m);
    return n;
}
static void random_layers(void) {
    static const struct {
        const char *json, *op, *what;
        int n;
    } t[] = {{"{\"input\":8,\"layers\":[{\"layer\":\"residual\",\"drop\":0.2,\"layers\":[{\"layer\":\"linear\",\"out\":8}]},{\"layer\":\"linear\",\"out\":2}]}",
                 "drop_path", "stochastic depth of a residual", 1},
        {"{\"input\":8,\"layers\":[{\"layer\":\"residual\",\"layers\":[{\"layer\":\"linear\",\"out\":8}]},{\"layer\":\"linear\",\"out\":2}]}", "drop_path",
            "a residual without it", 0},
        {"{\"input\":{\"ids\":9},\"layers\":[{\"layer\":\"embedding\",\"dim\":4},{\"layer\":\"lstm\",\"units\":3,\"num_layers\":3,\"dropout\":0.2},{\"layer\":"
         "\"mean_pool\"},"
         "{\"layer\":\"linear\",\"out\":2}]}",
            "dropout", "dropout between three recurrent layers", 2},
        {"{\"input\":{\"ids\":9},\"layers\":[{\"layer\":\"text_embedding\",\"dim\":8,\"dropout\":0.1},{\"layer\":\"encoder_block\",\"heads\":2,\"dropout\":0.1}"
         ","
         "{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":2}]}",
            "dropout", "dropout of an embedding and behind both parts of a block", 3}};
    for (size_t i = 0; i < LEN(t); i++) {
        struct err e = {0};
        int on = count(t[i].json, t[i].op, true, &e), off = count(t[i].json, t[i].op, false, &e);
        tap_ok(on == t[i].n && off == 0, "%s: %d in training, %d in evaluation %s", t[i].what, on, off, e.text);
    }
}

/* Plain descent on fixed data; the loss must fall well below its start. */
static void learns(const char *what, const char *json, bool text) {
    struct err e = {0};
    struct model *m = model_of(json, &e);
    struct graph *g = graph_new(DT_F32, true, 1);
    struct model_io *io = X_NEW(struct model_io, 1);
    struct dim row = {1, AXIS_R};
    tid out[2], grad[MODEL_PARAMS];
    double first = 0, last = 0;
    if (!m || model_build(m, g, io, &e) < 0) goto out;
    tid label = graph_input(g, "y", DT_I32, &row, 1, -1), dl = graph_scalar(g, "dloss"), in[] = {io->out, label};
    if (fuse_forward(g, &e) < 0 || graph_add(g, "softmax_ce", NULL, in, 2, out, &e) < 0 || grad_build(g, out[0], dl, io->param, m->n_param, grad, &e) < 0)
        goto out;
    struct extents x = {.n = {1, 16, 17, 64, 0, 0, 0}};
    tid keep[32] = {out[0]};
    int n_keep = 1;
    for (int k = 0; k < m->n_param; k++) {
        keep[n_keep++] = grad[k];
        if (grad_rows(g, grad[k], keep + n_keep)) n_keep += 3;
    }
    struct plan_options o = {.keep = keep, .n_keep = n_keep, .param = m->data};
    struct plan *p = plan_new(g, &x, &o, &e);
    if (!p || plan_alloc(p, &e) < 0) goto out;
    plan_scalar(p, dl, 1.0 / 16);
    for (int i = 0; i < io->n_live; i++) plan_scalar(p, io->live[i].scalar, io->live[i].value);
    for (int i = 0; i < 16; i++) ((int32_t *)plan_data(p, label))[i] = i % 2;
    for (int i = 0; i < 17 && text; i++) ((int32_t *)plan_data(p, io->in[0].offsets))[i] = 4 * i;
    for (int i = 0; i < 64 && text; i++) ((int32_t *)plan_data(p, io->in[0].data))[i] = (i * 7 + (i / 4 % 2) * 100) % 200;
    for (int i = 0; i < 16 * 784 && !text; i++) ((float *)plan_data(p, io->in[0].data))[i] = (float)((i * 31 + i / 784 % 2 * i) % 97) / 97;
    for (int s = 0; s < 60; s++) {
        plan_step(p, (uint64_t)s);
        if (plan_run(p, &x, PHASE_FORWARD, PHASE_BACKWARD, &e) < 0) break;
        last = *(float *)plan_data(p, out[0]) / 16.0;
        if (s == 0) first = last;
        for (int k = 0; k < m->n_param; k++) {
            float *w = (float *)((char *)m->data + m->param[k].offset), *d = plan_data(p, grad[k]), lr = text ? 5.0f : 0.05f;
            tid r[3];
            if (grad_rows(g, grad[k], r)) {
                int32_t *id = plan_data(p, r[0]), n = *(int32_t *)plan_data(p, r[1]), width = (int32_t)m->param[k].dim[1];
                for (int32_t j = 0; j < n * width; j++) w[id[j / width] * width + j % width] -= lr * d[j];
            } else
                for (int64_t j = 0; j < m->param[k].len; j++) w[j] -= lr * d[j];
        }
    }
    plan_free(p);
out:
    tap_ok(first > 0.4 && last < 0.5 * first, "%s learns: loss %.3f to %.3f %s", what, first, last, e.text);
    free(io);
    graph_free(g);
    model_free(m);
}

int main(void) {
    struct err e = {0};
    if (ops_select("auto", &e) < 0) printf("# %s\n", e.text);
    counts();
    wiring();
    wrong();
    random_layers();
    learns("the bag", BAG, true);
    learns("the MLP with dropout", MLP, false);
    return tap_done();
}
