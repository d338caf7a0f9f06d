/* Pruning: a pruned model answers as the whole one with those units silenced; what goes weighs least, what else is used stays; optimiser state is carried
 * along. */
#include "config.h"

#include "tests/engine/compress_fix.h"

/* Answers to rows of normal numbers, or to texts of 5 tokens. */
static float *answers(const struct model *m, bool text, int64_t *len, struct err *e) {
    struct step_spec s = {.model = m, .rows = 9, .tokens = {45}};
    struct step *p = step_new(&s, e);
    float *out = NULL;
    if (!p) return NULL;
    struct extents x = step_extents(p, 9, (int64_t[]){45}, text);
    int32_t *off;
    float *in = step_input(p, 0, &off, NULL);
    for (int i = 0; i < 45 && text; i++) ((int32_t *)in)[i] = (int32_t)rng_below(1, 0, (uint64_t)i, 20);
    for (int i = 0; i <= 9 && text; i++) off[i] = 5 * i;
    for (int i = 0; i < 9 * 12 && !text; i++) in[i] = (float)rng_normal(1, 0, (uint64_t)i);
    struct step_result r;
    int64_t rows, width;
    if (step_run(p, &x, 0, NULL, &r, e) == 0) {
        const float *y = step_output(p, &x, &rows, &width);
        *len = rows * width;
        out = X_NEW(float, (size_t)*len);
        memcpy(out, y, (size_t)*len * sizeof *y);
    }
    step_free(p);
    return out;
}

static bool among(const int64_t *keep, int64_t n, int64_t i) {
    for (int64_t k = 0; k < n; k++)
        if (keep[k] == i) return true;
    return false;
}

/* The whole model with everything that the map took away at 0. */
static void silence(struct model *m, const struct index_map *map) {
    for (int k = 0; k < map->n; k++) {
        const struct index_row *r = &map->row[k];
        const struct param *p = model_param(m, r->name);
        float *w = (float *)((char *)m->data + p->offset);
        int64_t cols = p->ndim > 1 ? p->dim[1] : 1;
        for (int64_t i = 0; i < p->len; i++)
            if ((r->keep[0] && !among(r->keep[0], r->n[0], i / cols)) || (r->keep[1] && !among(r->keep[1], r->n[1], i % cols))) w[i] = 0;
    }
}

static void pruned(void) {
    for (size_t k = 0; k < LEN(cuts); k++) {
        struct err e = {0};
        struct index_map map = {0};
        struct model *whole = make(cuts[k].json, &e), *small = whole ? squeeze(whole, cuts[k].recipe, NULL, &map, &e) : NULL;
        int64_t n = 0;
        double worst = 0;
        if (small) silence(whole, &map);
        float *a = small ? answers(whole, cuts[k].text, &n, &e) : NULL, *b = a ? answers(small, cuts[k].text, &n, &e) : NULL;
        for (int64_t i = 0; b && i < n; i++) worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        tap_ok(b && worst <= 1e-5 && small->bytes < whole->bytes, "%s: the pruned model answers as the silenced one (%.1e)%s", cuts[k].name, worst, e.text);
        if (cuts[k].params) tap_ok(small && model_params(small) == cuts[k].params, "and has the parameters it should");
        struct index_map again_map = {0};
        struct model *again = small ? squeeze(small, cuts[k].recipe, NULL, &again_map, &e) : NULL;
        tap_ok(again != NULL, "and can be pruned again%s", e.text);
        index_release(&again_map);
        free(a), free(b);
        index_release(&map);
        model_free(whole), model_free(small), model_free(again);
    }
    struct err e = {0};
    struct model *m = make(cuts[0].json, &e), *none = make("{\"input\":12,\"layers\":[{\"layer\":\"linear\",\"out\":3}]}", &e);
    struct val *note = NULL;
    struct model *z = squeeze(m, "prune.magnitude{0.5,what=weights}", &note, NULL, &e);
    int64_t zeros = 0;
    for (int64_t i = 0; z && i < z->param[0].len; i++) zeros += ((float *)z->data)[i] == 0;
    tap_ok(z && zeros == 120 && strstr(val_get_str(note, "claim", ""), "no speed-up") && z->bytes == m->bytes,
        "single weights: half of them become zero, the size stays, and it claims no speed-up");
    val_free(note);
    tap_ok(!squeeze(none, "prune.magnitude{0.5}", NULL, &(struct index_map){0}, &e) && strstr(e.text, "no units that can be removed"), "%s", e.text);
    e = (struct err){0};
    tap_ok(!squeeze(m, "prune.magnitude{0.5,keep=linaer9}", NULL, &(struct index_map){0}, &e) && strstr(e.text, "keep names \"linaer9\""), "%s", e.text);
    e = (struct err){0};
    struct index_map map = {0};
    struct model *k = squeeze(m, "prune.magnitude{0.5,keep=linear1}", NULL, &map, &e);
    tap_ok(k && model_param(k, "linear1.weight")->dim[0] == 20 && model_param(k, "linear2.weight")->dim[0] == 8, "keep: that layer stays whole");
    index_release(&map);
    struct model *both = squeeze(m, "prune.magnitude{0.5,keep={linear1,linear2}}", NULL, &map, &e);
    tap_ok(!both && strstr(e.text, "no units that can be removed"), "keep: a list of both leaves nothing to remove %s", e.text);
    index_release(&map);
    model_free(m), model_free(none), model_free(z), model_free(k), model_free(both);
}

/* What goes is what weighs least, counted with the weights that read it: here the even units, whose own weights are the larger ones. */
static void smallest(void) {
    struct err e = {0};
    struct index_map map = {0};
    struct model *m = make(cuts[0].json, &e);
    float *w1 = weights(m, "linear1.weight"), *w2 = weights(m, "linear2.weight");
    for (int u = 0; u < 20; u++) {
        for (int i = 0; i < 12; i++) w1[u * 12 + i] = u % 2 ? 0.1f : 1;
        for (int o = 0; o < 16; o++) w2[o * 20 + u] = u % 2 ? 2 : 0.1f;
    }
    struct model *s = squeeze(m, "prune.magnitude{0.5}", NULL, &map, &e);
    bool ok = s != NULL;
    for (int k = 0; ok && k < map.n; k++)
        if (strcmp(map.row[k].name, "linear1.weight") == 0)
            for (int64_t i = 0; i < 10; i++) ok = ok && map.row[k].n[0] == 10 && map.row[k].keep[0][i] == 2 * i + 1;
    tap_ok(ok, "the units with the smallest weights, in and out, go %s", e.text);
    index_release(&map);
    model_free(s);
    s = squeeze(m, "prune.magnitude{0.3,what=weights}", NULL, NULL, &e);
    for (int i = 0; ok && i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        float most = 0, least = INFINITY;
        for (int64_t j = 0; j < p->len && p->ndim > 1; j++) {
            float was = fabsf(((float *)((char *)m->data + p->offset))[j]);
            if (((float *)((char *)s->data + p->offset))[j] == 0) most = fmaxf(most, was);
            else least = fminf(least, was);
        }
        ok = most <= least;
    }
    tap_ok(ok, "and the smallest single weights");
    model_free(s), model_free(m);
}

/* Behind a batch norm the size of a row says nothing: the gain and what reads it do. Its statistics go with the unit. */
static void normed(void) {
    struct err e = {0};
    struct index_map map = {0};
    struct model *m = make(cuts[4].json, &e);
    float *w1 = weights(m, "linear1.weight"), *gain = weights(m, "batch_norm1.weight"), *mean = weights(m, "batch_norm1.running_mean");
    for (int u = 0; u < 20; u++) {
        for (int i = 0; i < 12; i++) w1[u * 12 + i] = u % 2 ? 0.001f : 5;
        gain[u] = u % 2 ? 9 : 0.01f;
        mean[u] = (float)u;
    }
    struct model *s = squeeze(m, "prune.magnitude{0.5}", NULL, &map, &e);
    const float *left = s ? weights(s, "batch_norm1.running_mean") : NULL;
    bool ok = left && model_param(s, "batch_norm1.running_mean")->len == 10;
    for (int u = 0; ok && u < 10; u++) ok = left[u] == (float)(2 * u + 1);
    tap_ok(ok, "units with a small gain go, whatever their rows; the running mean of the others stays %s", e.text);
    index_release(&map);
    model_free(m), model_free(s);
    static const struct {
        const char *json, *why;
    } whole[] = {
        {"{\"input\":12,\"layers\":[{\"layer\":\"linear\",\"out\":20},{\"layer\":\"layer_norm\"},{\"layer\":\"linear\",\"out\":3}]}",
            "linear1 has to stay whole: layer_norm1 behind it takes its units together"},
        {"{\"input\":[20,12],\"layers\":[{\"layer\":\"linear\",\"out\":20},{\"layer\":\"batch_norm\"},{\"layer\":\"linear\",\"out\":3},{\"layer\":"
         "\"flatten\"}]}",
            "linear1 has to stay whole: batch_norm1 behind it takes its units together"}, /* its channels are the 20 rows */
    };
    for (size_t i = 0; i < LEN(whole); i++) {
        e = (struct err){0};
        struct index_map none = {0};
        m = make(whole[i].json, &e);
        s = m ? squeeze(m, "prune.magnitude{0.5}", NULL, &none, &e) : NULL;
        tap_ok(m && !s && strstr(e.text, whole[i].why), "%s", e.text);
        index_release(&none);
        model_free(m), model_free(s);
    }
}

/* what= leaves the other kind alone; so does a use beside the chain. */
static void left_alone(void) {
    static const struct {
        const char *what, *json, *recipe, *param;
        int64_t rows;
    } t[] = {{"what=heads: feed-forward units", NULL, "prune.magnitude{0.5,what=heads}", "encoder_block1.up.weight", 40},
        {"what=heads: heads", NULL, "prune.magnitude{0.5,what=heads}", "encoder_block1.attn.qkv.weight", 36},
        {"what=units: heads", NULL, "prune.magnitude{0.5,what=units}", "encoder_block1.attn.qkv.weight", 72},
        {"what=units: feed-forward units", NULL, "prune.magnitude{0.5,what=units}", "encoder_block1.up.weight", 20},
        {"a layer that another one reads too",
            "{\"input\":12,\"layers\":[{\"layer\":\"linear\",\"out\":20,\"name\":\"a\"},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":16,\"name\":\"b\"},"
            "{\"layer\":\"concat\",\"from\":[\"a\",\"b\"]},{\"layer\":\"linear\",\"out\":8,\"name\":\"c\"},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":"
            "3}]}",
            "prune.magnitude{0.5}", "a.weight", 20},
        {"a block whose weights are used twice",
            "{\"input\":{\"ids\":20,\"len\":8},\"layers\":[{\"layer\":\"text_embedding\",\"n\":20,\"dim\":24,\"positions\":8},{\"layer\":\"encoder_block\","
            "\"heads\":4,\"ffn\":40,\"name\":\"a\"},"
            "{\"layer\":\"encoder_block\",\"heads\":4,\"ffn\":40,\"share\":\"a\"},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":8,\"name\":\"c\"},{"
            "\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":3}]}",
            "prune.magnitude{0.5}", "a.up.weight", 40},
        {"a layer whose weights are used twice",
            "{\"input\":12,\"layers\":[{\"layer\":\"linear\",\"out\":12,\"name\":\"a\"},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":12,\"share\":\"a\"},"
            "{\"layer\":\"relu\"},"
            "{\"layer\":\"linear\",\"out\":8,\"name\":\"c\"},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":3}]}",
            "prune.magnitude{0.5}", "a.weight", 12}};
    for (size_t i = 0; i < LEN(t); i++) {
        struct err e = {0};
        struct index_map map = {0};
        struct model *m = make(t[i].json ? t[i].json : cuts[2].json, &e), *s = m ? squeeze(m, t[i].recipe, NULL, &map, &e) : NULL;
        const struct param *p = s ? model_param(s, t[i].param) : NULL;
        tap_ok(p && p->dim[0] == t[i].rows, "%s: %lld rows %s", t[i].what, p ? (long long)p->dim[0] : -1LL, e.text);
        index_release(&map);
        model_free(m), model_free(s);
    }
}

/* Moments follow their weights. */
static void states(void) {
    struct err e = {0};
    struct index_map map = {0};
    struct model *m = make(cuts[0].json, &e), *s = squeeze(m, "magnitude{0.5}", NULL, &map, &e);
    struct optimiser *a = optimiser_new(NULL, &e), *b = optimiser_new(NULL, &e);
    struct optim_param *p = X_NEW(struct optim_param, 16);
    for (int which = 0; which < 2; which++) {
        const struct model *of = which ? s : m;
        for (int i = 0; i < of->n_param; i++) {
            p[i] = (struct optim_param){.name = of->param[i].name, .ndim = of->param[i].ndim, .len = of->param[i].len, .trained = true};
            memcpy(p[i].dim, of->param[i].dim, sizeof p[i].dim);
        }
        optimiser_layout(which ? b : a, p, of->n_param, DT_F32, &e);
    }
    a->t = 41;
    for (int i = 0; i < m->n_param; i++) /* the first moment is the weight, the second its square */
        for (int64_t j = 0; j < m->param[i].len; j++) {
            float w = ((float *)((char *)m->data + m->param[i].offset))[j];
            ((float *)((char *)a->l.state + a->l.slot[i].at[0]))[j] = w;
            ((float *)((char *)a->l.state + a->l.slot[i].at[1]))[j] = w * w;
        }
    carry_states(m, a, s, b, &map);
    bool ok = b->t == 41 && s->n_param == m->n_param;
    for (int i = 0; ok && i < s->n_param; i++)
        for (int64_t j = 0; ok && j < s->param[i].len; j++) {
            float w = ((float *)((char *)s->data + s->param[i].offset))[j];
            ok = ((float *)((char *)b->l.state + b->l.slot[i].at[0]))[j] == w && ((float *)((char *)b->l.state + b->l.slot[i].at[1]))[j] == w * w;
        }
    tap_ok(ok, "optimiser state follows the weights that are left%s", e.text);
    index_release(&map);
    optimiser_free(a), optimiser_free(b);
    model_free(m), model_free(s);
    free(p);
}

int main(void) {
    compress_open();
    pruned();
    smallest();
    normed();
    left_alone();
    states();
    return tap_done();
}
