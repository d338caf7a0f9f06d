/* Quantisation: which layers get 8 bits by a clock of ours and what stays in floats; halves as their file will hold them. */
#include "config.h"

#include "tests/engine/compress_fix.h"

/* quant.int8 by a clock of ours: what is not faster for single rows and for batches stays in floats, as does what is to be kept. */
static double layer_clock(void *ctx, bool i8, int64_t rows, int64_t out, int64_t in) {
    (void)ctx, (void)in;
    return 1e-5 * (!i8 ? 1 : out == 20 ? 0.5 : out == 16 ? (rows == 1 ? 0.5 : 1.2) : rows == 1 ? 1.2 : 0.5);
}
static enum dtype held(const struct model *m, const char *name) { return m && model_param(m, name) ? model_param(m, name)->dtype : DT_BOOL; }
static struct model *int8(const char *json, const char *recipe, double (*clock)(void *, bool, int64_t, int64_t, int64_t), struct err *e) {
    struct model *m = make(json, e), *s = m ? squeeze_by(clock, m, recipe, NULL, NULL, e) : NULL;
    model_free(m);
    return s;
}
static void layers_chosen(void) {
    struct err e = {0};
    struct model *m = int8(cuts[0].json, "quant.int8", layer_clock, &e);
    tap_ok(held(m, "linear1.weight") == DT_I8 && held(m, "linear2.weight") == DT_F32 && held(m, "linear3.weight") == DT_F32,
        "8 bits where they are faster for single rows and for batches, floats where they are not for one of them %s", e.text);
    model_free(m);
    m = int8(cuts[0].json, "quant.int8{choose=false,keep=linear2}", NULL, &e);
    tap_ok(held(m, "linear1.weight") == DT_I8 && held(m, "linear2.weight") == DT_F32 && held(m, "linear3.weight") == DT_I8,
        "keep: that layer stays in floats %s", e.text);
    model_free(m);
    for (int k = 0; k < 2; k++) {
        m = int8(cuts[2].json, k ? "quant.int8{choose=false,embeddings=false,attention=false}" : "quant.int8{choose=false}", NULL, &e);
        const char *math = m ? val_get_str(val_at(val_get(m->desc, "layers"), 1), "math", "f32") : "?";
        tap_ok(held(m, "text_embedding1.word.weight") == (k ? DT_F32 : DT_I8) && strcmp(math, k ? "f32" : "i8") == 0, "tables and attention %s: %s %s",
            k ? "left in floats if asked" : "too", math, e.text);
        model_free(m);
    }
    m = int8(cuts[3].json, "quant.int8{choose=false}", NULL, &e);
    tap_ok(m && strcmp(val_get_str(val_at(val_get(m->desc, "layers"), 1), "math", "f32"), "f32") == 0, "causal attention stays in floats %s", e.text);
    model_free(m);
}

/* quant.half: the model answers with what its file will hold, and refuses what 16 bits cannot hold. */
static void halves(void) {
    for (int k = 0; k < 2; k++) {
        struct err e = {0};
        struct model *m = make(cuts[0].json, &e), *s = squeeze(m, k ? "quant.half{bf16}" : "quant.half", NULL, NULL, &e);
        bool ok = s && s->param[0].store == (k ? DT_BF16 : DT_F16);
        for (int64_t i = 0; ok && i < m->param[0].len; i++) {
            double a = (double)((float *)m->data)[i], b = (double)((float *)s->data)[i], ulp = ldexp(1, (int)floor(log2(fabs(a))) - (k ? 7 : 10));
            ok = fabs(a - b) <= ulp / 2 && fmod(b, ulp) == 0;
        }
        tap_ok(ok, "%s: the nearest numbers of its bits are in memory already %s", k ? "bf16" : "f16", e.text);
        model_free(s);
        ((float *)m->data)[7] = 70000;
        e = (struct err){0};
        s = squeeze(m, k ? "quant.half{bf16}" : "quant.half", NULL, NULL, &e);
        tap_ok(k ? s != NULL : !s && strstr(e.text, "1 weights are beyond 65504"), "70,000: %s", s ? "taken" : e.text);
        model_free(s), model_free(m);
    }
}

int main(void) {
    compress_open();
    layers_chosen();
    halves();
    return tap_done();
}
