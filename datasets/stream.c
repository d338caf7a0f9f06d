/* Building a stream. Training windows lie len tokens apart and every epoch begins them up to len - 1 tokens later (the loader draws how much), so each
 * token is seen at every place of a window; those of validation and test are fixed. Test is cut from the end of the text, validation before it. */
#include "datasets/stream.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/data_args.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

/* One text to ids, whole. */
static int encode(const struct stream_spec *s, const struct column *text, struct column *ids, struct err *e) {
    struct texts t = {text, NULL, 1, s->progress, s->ctx, 1};
    int64_t len = s->enc->len;
    *ids = (struct column){.scale = 1};
    s->enc->len = 0;
    int r = encoder_encode(s->enc, &t, false, ids, e);
    s->enc->len = len;
    return r;
}

/* Characters are tokens, so the vocabulary is learned from the first n of them. */
static int learn(const struct stream_spec *s, const struct column *text, int64_t n, struct err *e) {
    const char *p = text->data;
    size_t at = 0, size = (size_t)text->offset[1];
    for (int64_t i = 0; i < n && at < size; i++) {
        uint32_t cp;
        at += utf8_next(p + at, size - at, &cp);
    }
    int64_t offset[2] = {0, (int64_t)at};
    struct column part = {.type = COL_TEXT, .data = text->data, .offset = offset};
    struct texts t = {&part, NULL, 1, s->progress, s->ctx, 1};
    return encoder_learn(s->enc, &t, s->vocab, e);
}

static int64_t count_characters(const struct column *text) {
    int64_t n = 0;
    for (int64_t i = 0; i < text->offset[1]; i++) n += (((const unsigned char *)text->data)[i] & 0xc0) != 0x80;
    return n;
}

/* Windows over ids[from, to): input and target columns. */
static int windows(const struct stream_spec *s, const int32_t *ids, int64_t from, int64_t to, int which, struct dataset *d, struct err *e) {
    struct part *p = &d->part[which];
    int64_t n = to - from, len = s->len, most = which == PART_TRAIN ? n / len - 1 : (n - 1) / len, want = s->want[which];
    if (n < 2 || most < 1)
        return err_set(e, "%s: %lld tokens are too few for the %s part: it needs %lld windows of len=%lld and the token after", s->tab[PART_TRAIN].file,
            (long long)(n > 0 ? n : 0), part_names[which], which == PART_TRAIN ? 2LL : 1LL, (long long)len);
    if (want != ARG_NONE_INT && want > most)
        return err_code(e, ERR_USAGE, "%s=%lld is more than the %lld windows of %lld tokens that %s has for it", part_names[which], (long long)want,
            (long long)most, (long long)len, s->tab[PART_TRAIN].file);
    p->n = want != ARG_NONE_INT ? want : most;
    p->slide = which == PART_TRAIN ? len - 1 : 0;
    p->n_col = 2;
    p->col = X_NEW(struct column, 2);
    for (int i = 0; i < 2; i++) {
        struct column *c = &p->col[i];
        int64_t tokens = p->n * len + p->slide;
        *c = (struct column){
            .name = mem_str(i ? "y" : "text"), .type = COL_TOKENS, .scale = 1, .max_id = s->enc->max_id, .offset = X_NEW(int64_t, (size_t)p->n + 1)};
        if (!(c->data = mem_try((size_t)tokens, 4, "the tokens", e))) return -1;
        memcpy(c->data, ids + from + i, (size_t)tokens * 4);
        for (int64_t k = 0; k <= p->n; k++) c->offset[k] = k * len;
    }
    return 0;
}

static void name_classes(const struct encoder *x, struct dataset *d) {
    d->n_class = (int)x->max_id;
    d->class_name = X_NEW(char *, (size_t)x->max_id + 1);
    for (int64_t i = 0; i < x->max_id; i++) {
        size_t n;
        const char *s = x->tokenizer ? tokenizer_token(x->tokenizer, i, &n) : vocab_word(x->vocab, i, &n);
        d->class_name[i] = mem_strn(s, n);
    }
}

/* Tokens that the end of the training text gives to a part of its own. */
static int64_t cut_for(const struct stream_spec *s, int part, int64_t total) {
    if (s->tab[part].n) return 0;
    if (s->want[part] != ARG_NONE_INT) return s->want[part] > 0 && s->want[part] < total / s->len ? s->want[part] * s->len + 1 : s->want[part] > 0 ? total : 0;
    return part == PART_VAL && s->val_share > 0 ? total - (int64_t)((double)total * (1 - s->val_share)) : 0;
}

int stream_build(const struct stream_spec *s, struct dataset *d, struct err *e) {
    const struct column *text = &s->tab[PART_TRAIN].col[0];
    bool subwords = s->enc->tokenizer != NULL;
    struct column ids = {0};
    int64_t total = 0, end[PART_N];
    int r = 0;
    if (subwords) {
        r = encode(s, text, &ids, e);
        total = r ? 0 : ids.offset[1];
    } else total = count_characters(text);
    end[PART_TEST] = total;
    end[PART_VAL] = total - cut_for(s, PART_TEST, total);
    end[PART_TRAIN] = end[PART_VAL] - cut_for(s, PART_VAL, total);
    if (!r && end[PART_TRAIN] <= 0)
        r = err_code(e, ERR_USAGE, "%s has %lld tokens: val and test leave none for training", s->tab[PART_TRAIN].file, (long long)total);
    if (!r && !subwords) {
        r = learn(s, text, end[PART_TRAIN], e);
        if (!r) r = encode(s, text, &ids, e);
    }
    for (int p = 0; p < PART_N && !r; p++) {
        int64_t from = p ? end[p - 1] : 0;
        struct column own = {0};
        if (p && s->tab[p].n && s->want[p]) {
            r = encode(s, &s->tab[p].col[0], &own, e);
            if (!r) r = windows(s, own.data, 0, own.offset[1], p, d, e);
        } else if (end[p] > from) r = windows(s, ids.data, from, end[p], p, d, e);
        free(own.data);
        free(own.offset);
    }
    if (!r) name_classes(s->enc, d);
    free(ids.data);
    free(ids.offset);
    return r;
}
