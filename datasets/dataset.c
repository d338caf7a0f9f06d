/* Loading a data set: files -> tables -> columns chosen -> target -> draws -> prepared parts. One `struct loading` is passed
 * through the steps. Helper thread; the result is immutable. */
#include "datasets/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/applies.h"
#include "datasets/formats/sound.h"
#include "datasets/loading.h"
#include "datasets/read.h"
#include "datasets/sequence.h"
#include "datasets/split.h"
#include "datasets/stream.h"
#include "datasets/text_args.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define LARGE 20 /* values of arrays beyond it are told */

const char *const part_names[PART_N] = {"train", "val", "test"};

static _Atomic int threads;
void dataset_set_threads(int n) { atomic_store(&threads, n); }

/* ---- reading ---- */
/* Of sounds for a model: its frames, bands and rate. */
static int sound_options(struct read_opts *o, const struct data_args *a, struct err *e) {
    const struct val *prep = val_get(a->like, "prep"), *shape = val_get(prep, "shape");
    int64_t bands = a->mel;
    o->frames = a->frames != ARG_NONE_INT ? a->frames : 0;
    if ((o->rate = val_get_int(prep, "rate", 0)) && (!val_as_int(val_at(shape, 0), &o->frames) || !val_as_int(val_at(shape, 1), &bands)))
        return err_set(e, "the saved preparation of sounds is damaged: it has no shape");
    if (o->rate < 0 || o->frames < 0 || o->frames > INT32_MAX || bands < 1 || bands > SOUND_MAX_MEL)
        return err_set(e, "the saved preparation of sounds is damaged: %lld frames of %lld bands", (long long)o->frames, (long long)bands);
    o->mel = (int)bands;
    if (!o->rate && a->rate != ARG_NONE_INT) o->rate = a->rate;
    return 0;
}

/* Sounds of all parts get the frames of the longest. */
static int even_sounds(struct loading *l, struct err *e) {
    int64_t most = 0;
    const struct table *first = NULL;
    for (int p = 0; p < PART_N; p++) {
        const struct table *t = &l->tab[p];
        if (!t->n || !t->rate) continue;
        if (!first) first = t;
        if (t->rate != first->rate)
            return err_set(e, "the sounds of %s have %lld samples a second, those of %s %lld: give rate=%lld, to which all are resampled", t->file,
                (long long)t->rate, first->file, (long long)first->rate, (long long)(t->rate < first->rate ? t->rate : first->rate));
        if (t->col[0].dim[0] > most) most = t->col[0].dim[0];
    }
    for (int p = 0; p < PART_N; p++)
        if (l->tab[p].n && l->tab[p].rate && l->tab[p].col[0].dim[0] < most && sounds_widen(&l->tab[p], most, e)) return -1;
    l->rate = first ? first->rate : 0;
    return 0;
}

static int read_options(struct loading *l, struct err *e) {
    const struct data_args *a = l->a;
    const struct recipe *r = l->src.recipe;
    struct read_opts *o = &l->opts;
    l->stream = a->stream || (r && r->stream);
    o->header = r ? r->header : -1;
    o->quote = r ? r->quote : -1;
    o->sep = r ? r->sep : 0;
    o->stream = l->stream;
    o->leave_broken = a->missing == MISSING_DROP;
    o->size = a->size != ARG_NONE_INT ? (int)a->size : a->like ? (int)val_get_int(val_get(a->like, "prep"), "size", 0) : 0;
    if (o->size < 0 || o->size > IMAGE_MAX_SIDE) return err_set(e, "the saved preparation of pictures is damaged: size %d", o->size);
    if (sound_options(o, a, e)) return -1;
    if (a->sep) {
        if (!strcmp(a->sep, "tab") || !strcmp(a->sep, "\\t")) o->sep = '\t';
        else if (strlen(a->sep) == 1 && !strchr("\n\r\"", a->sep[0])) o->sep = a->sep[0];
        else return err_code(e, ERR_USAGE, "sep=\"%.20s\" is not one character; use for example \",\" or \"tab\"", a->sep);
    }
    if (a->quote) {
        if (a->quote->type != VAL_BOOL) return err_code(e, ERR_USAGE, "quote= is true or false");
        o->quote = a->quote->u.b;
    }
    if (a->header) {
        if (a->header->type == VAL_BOOL) o->header = a->header->u.b;
        else if (a->header->type != VAL_STR || strcmp(a->header->u.s.p, "auto")) return err_code(e, ERR_USAGE, "header= is true, false or \"auto\"");
    }
    const char *enc = a->encoding ? a->encoding : "utf-8";
    if (!strcasecmp(enc, "latin1") || !strcasecmp(enc, "latin-1") || !strcasecmp(enc, "iso-8859-1")) o->latin1 = true;
    else if (strcasecmp(enc, "utf-8") && strcasecmp(enc, "utf8"))
        return err_code(e, ERR_USAGE, "encoding=\"%.40s\" is unknown; utf-8 and latin1 are read, convert others with iconv", enc);
    int n = 0;
    l->want = X_NEW(char *, val_len(a->x) + 4);
    if (a->y) l->want[n++] = mem_str(a->y);
    if (a->text) l->want[n++] = mem_str(a->text);
    for (size_t i = 0; i < (a->x && a->x->type != VAL_TABLE ? 1 : val_len(a->x)); i++) {
        const struct val *v = a->x->type == VAL_TABLE ? val_at(a->x, i) : a->x;
        char tmp[32];
        if (v->type == VAL_INT) snprintf(tmp, sizeof tmp, "%lld", (long long)v->u.i); /* a column without a name */
        else if (v->type != VAL_STR) return err_code(e, ERR_USAGE, "x= is a column name or a list of names, but item %zu is a %s", i + 1, val_type_name(v));
        l->want[n++] = mem_str(v->type == VAL_INT ? tmp : v->u.s.p);
    }
    o->want = (const char *const *)l->want;
    return 0;
}

static int read_tables(struct loading *l, struct err *e) {
    const bool want[PART_N] = {true, l->a->val != 0, l->a->test != 0}; /* 0: nothing of it is wanted */
    int r = read_files(&l->src, &l->opts, want, atomic_load(&threads), l->tab, val_get(l->d->identity, "files"), e);
    return r ? r : even_sounds(l, e);
}

/* missing="drop": rows without a target are none. */
static int drop_targets(struct loading *l, int y, struct err *e) {
    for (int p = 0; p < PART_N; p++) {
        struct table *t = &l->tab[p];
        int c = t->n ? same_column(l, p, y, e) : -2;
        if (c == -1) return -1;
        if (c < 0 || t->col[c].type != COL_TEXT || t->origin) continue;
        int64_t *rows = X_NEW(int64_t, (size_t)t->n + 1), n = 0, all = t->n;
        for (int64_t i = 0; i < all; i++) {
            size_t k;
            const char *s = table_text(t, c, i, &k);
            if (!tabular_missing(s, k)) rows[n++] = i;
        }
        if (n < all) table_keep(t, rows, n);
        free(rows);
        if (n < all) log_write(LOG_INFO, "%s: %lld of %lld rows have no target and are left out", t->file, (long long)(all - n), (long long)all);
        if (!n) return err_set(e, "%s: no row has a target in column \"%.100s\"", t->file, t->col[c].name);
    }
    return 0;
}

static int read_targets(struct loading *l, int y, struct err *e) {
    if (y < 0) return 0;
    if (l->a->missing == MISSING_DROP && drop_targets(l, y, e)) return -1;
    const struct val *like = l->a->like;
    int want = l->a->target;
    if (want == TARGET_AUTO && val_get_bool(like, "sequence", false)) want = TARGET_SEQUENCE;
    else if (want == TARGET_AUTO && val_get(val_get(like, "prep"), "target")) want = TARGET_NUMBER;
    if (target_learn(&l->target, &l->tab[PART_TRAIN], y, want, l->src.recipe, like ? val_get(like, "classes") : NULL, e)) return -1;
    for (int p = 0; p < PART_N && l->target.sequence; p++) {
        int c = l->tab[p].n ? same_column(l, p, y, e) : -2;
        if (c == -1) return -1;
        if (c >= 0 && sequence_widen(&l->target, &l->tab[p], c, e)) return -1;
    }
    for (int p = 0; p < PART_N; p++) {
        if (!l->tab[p].n) continue;
        int c = same_column(l, p, y, e);
        if (c < 0) return -1;
        if (l->target.number) l->num[p] = target_numbers(&l->target, &l->tab[p], c, e);
        else l->cls[p] = target_classes(&l->target, &l->tab[p], c, e);
        if (!l->num[p] && !l->cls[p]) return -1;
    }
    return 0;
}

static int check_arguments(const struct loading *l, struct err *e) {
    static const unsigned of[] = {[INPUT_ARRAY] = HOLDS_ARRAYS, [INPUT_TEXT] = HOLDS_TEXTS, [INPUT_TABLE] = HOLDS_CELLS};
    unsigned holds = l->stream ? HOLDS_STREAM : l->rate ? HOLDS_SOUNDS : of[l->input];
    return data_applies(l->a, l->src.name, l->tab, holds | (l->target.number ? HOLDS_NUMBERS : 0), e);
}

/* ---- draws ---- */
/* Rows of a table that may be drawn: all, or without those that miss a value. */
static int64_t *usable(struct loading *l, int part, int64_t *n, struct err *e) {
    const struct table *t = &l->tab[part];
    int64_t *rows = X_NEW(int64_t, (size_t)t->n + 1);
    *n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        bool ok = true;
        for (int k = 0; k < l->n_x && ok && l->input == INPUT_TABLE && l->a->missing == MISSING_DROP; k++) {
            size_t len;
            int c = same_column(l, part, l->x[k], e);
            if (c < 0) return free(rows), NULL;
            const char *s = table_text(t, c, i, &len);
            ok = !tabular_missing(s, len);
        }
        if (ok) rows[(*n)++] = i;
    }
    if (*n < t->n) log_write(LOG_INFO, "%s: %lld of %lld rows miss a value and are left out", t->file, (long long)(t->n - *n), (long long)t->n);
    return rows;
}

static int take(struct loading *l, int part, int from, struct strata *s, const int64_t *rows, int64_t want, struct err *e) {
    int64_t left = strata_left(s);
    if (want == ARG_NONE_INT) want = left;
    if (want > left)
        return err_code(e, ERR_USAGE, "%s=%lld is more than the %lld examples that %s%s", part_names[part], (long long)want, (long long)left, l->src.name,
            part == PART_TRAIN || from == PART_TRAIN ? " has left for training" : " has in that part");
    l->idx[part] = X_NEW(int64_t, (size_t)want + 1);
    strata_take(s, want, l->idx[part]);
    for (int64_t i = 0; i < want; i++) l->idx[part][i] = rows[l->idx[part][i]];
    l->n[part] = want;
    l->from[part] = from;
    return 0;
}

static struct strata *strata_of(struct loading *l, int part, int64_t **rows, struct err *e) {
    int64_t n;
    if (!(*rows = usable(l, part, &n, e))) return NULL;
    int32_t *cls = NULL;
    if (l->cls[part] && !l->target.sequence) {
        cls = X_NEW(int32_t, (size_t)n + 1);
        for (int64_t i = 0; i < n; i++) cls[i] = l->cls[part][(*rows)[i]];
    }
    struct strata *s = strata_new(cls, n, l->target.n_class, (uint64_t)l->a->split, part_names[part]);
    free(cls);
    return s;
}

static int draw(struct loading *l, struct err *e) {
    int64_t want[PART_N] = {l->a->train, l->a->val, l->a->test}, *rows;
    struct strata *train = strata_of(l, PART_TRAIN, &rows, e);
    if (!train) return -1;
    int r = 0;
    for (int p = PART_N - 1; p >= 0 && !r; p--) { /* training last: a larger val leaves the test as it is */
        if (p == PART_TRAIN) r = take(l, p, p, train, rows, want[p], e);
        else if (!l->tab[p].n) {
            if (want[p] != ARG_NONE_INT && want[p]) r = take(l, p, PART_TRAIN, train, rows, want[p], e);
        } else if (want[p]) {
            int64_t *own;
            struct strata *s = strata_of(l, p, &own, e);
            r = s ? take(l, p, p, s, own, want[p], e) : -1;
            if (s) strata_free(s);
            free(own);
        }
    }
    strata_free(train);
    free(rows);
    if (!r && !l->n[PART_TRAIN]) r = err_set(e, "%s: no example is left for training; make val or test smaller", l->src.name);
    return r;
}

/* ---- building the parts ---- */
static int build_stream(struct loading *l, struct err *e) {
    const struct data_args *a = l->a;
    struct encoder *x = &l->enc;
    const struct recipe *r = l->src.recipe;
    struct stream_spec s = {
        x, l->tab, a->len > 0 ? a->len : STREAM_LEN, {a->train, a->val, a->test}, r ? r->val_share : 0, a->vocab, l->opts.progress, l->opts.ctx};
    if (a->x || a->y || a->text || a->tfidf || a->ngrams > 1 || a->chars || a->hash_buckets > 0)
        return err_code(e, ERR_USAGE, "a stream is one text: x, y, text, ngrams, chars, hash_buckets and tfidf do not go with it");
    x->kind = TOKENS_EXACT;
    x->lower = false;
    if (stream_build(&s, l->d, e)) return -1;
    x->len = s.len; /* of new texts the end counts: what follows it is asked for */
    x->tail = true;
    l->input = INPUT_TEXT;
    return 0;
}

static int build_array(struct loading *l, int part, int col, struct column *out, struct err *e) {
    struct column *c = &l->tab[l->from[part]].col[col];
    size_t each = c->type == COL_U8 ? 1 : 4, row = (size_t)c->width * each;
    int64_t n = l->n[part];
    bool whole = n == l->tab[l->from[part]].n;
    *out = *c;
    out->name = mem_str("x");
    if (whole) c->data = NULL; /* moved */
    else {
        if (!(out->data = mem_try((size_t)n * row + 1, 1, "the data set", e))) return -1;
        for (int64_t i = 0; i < n; i++) memcpy((char *)out->data + (size_t)i * row, (char *)c->data + (size_t)l->idx[part][i] * row, row);
    }
    out->scale = c->type == COL_U8 ? 1.0f / 255 : 1;
    return 0;
}

/* value * scale + shift with the mean 0 and the deviation 1 over the training part. */
static void normalise(struct dataset *d) {
    const struct column *c = &d->part[PART_TRAIN].col[0];
    if (c->type == COL_I32) return;
    double sum = 0, sq = 0;
    int64_t n = d->part[PART_TRAIN].n * c->width;
    for (int64_t i = 0; i < n; i++) {
        double v = c->type == COL_U8 ? ((uint8_t *)c->data)[i] : (double)((float *)c->data)[i];
        sum += v;
        sq += v * v;
    }
    double mean = sum / (double)n, var = sq / (double)n - mean * mean, inv = var > 0 ? 1 / sqrt(var) : 1;
    for (int p = 0; p < PART_N; p++)
        if (d->part[p].n) {
            d->part[p].col[0].scale = (float)inv;
            d->part[p].col[0].shift = (float)(-mean * inv);
        }
}

/* Arrays are taken as they are: said where that is hardly meant. */
static void note_range(const struct loading *l) {
    const struct column *c = &l->d->part[PART_TRAIN].col[0];
    float least = 0, most = 0;
    for (int64_t i = 0; c->type == COL_F32 && i < l->d->part[PART_TRAIN].n * c->width; i++) {
        float v = ((const float *)c->data)[i];
        least = v < least ? v : least, most = v > most ? v : most; /* fminf is a call, for every value of the set */
    }
    if (most > LARGE || least < -LARGE)
        log_write(
            LOG_INFO, "%s: its values go from %g to %g; normalize=true brings them near 1, which most models want", l->src.name, (double)least, (double)most);
}

/* Numbers of the training part around 0, as for a model's: weights that begin near 0 would take ages to reach prices. Several an example, and those in 0..1,
 * which may be probabilities, stay as they are. */
static void scale_target(struct loading *l) {
    struct dataset *d = l->d;
    double mean = 0, sq = 0, std = 1, least = INFINITY, most = -INFINITY;
    if (!l->target.number) return;
    const struct val *learned = val_get(l->prep, "target");
    const float *y = d->part[PART_TRAIN].col[1].data;
    for (int64_t i = 0; i < d->part[PART_TRAIN].n && !l->prep && l->target.width == 1 && l->a->standardize; i++) {
        double v = (double)y[i], off = v - mean;
        least = fmin(least, v), most = fmax(most, v);
        mean += off / (double)(i + 1); /* running mean and squares (Welford 1962) */
        sq += off * (v - mean);
    }
    if (least < 0 || most > 1) std = sqrt(sq / (double)d->part[PART_TRAIN].n);
    else mean = 0;
    if (!(std > 0)) std = 1;
    l->y_mean = val_get_num(learned, "mean", mean), l->y_std = val_get_num(learned, "std", std);
    for (int p = 0; p < PART_N; p++)
        if (d->part[p].n) column_standardise(&d->part[p].col[1], l->y_mean, l->y_std);
}

static int gather_text(struct loading *l, int part, int col, struct column *out, struct err *e) {
    struct column *c = &l->tab[l->from[part]].col[col];
    int64_t n = l->n[part], bytes = 0;
    *out = (struct column){.name = mem_str("text"), .type = COL_TEXT, .scale = 1};
    if (n == l->tab[l->from[part]].n) { /* rows are drawn in their order, so all of them are the column itself: moved */
        out->data = c->data;
        out->offset = c->offset;
        c->data = NULL;
        c->offset = NULL;
        return 0;
    }
    out->offset = X_NEW(int64_t, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) bytes += c->offset[l->idx[part][i] + 1] - c->offset[l->idx[part][i]];
    char *p = out->data = mem_try((size_t)bytes + 1, 1, "the texts", e);
    if (!p) return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = c->offset[l->idx[part][i]], k = c->offset[l->idx[part][i] + 1] - from;
        memcpy(p + out->offset[i], (char *)c->data + from, (size_t)k);
        out->offset[i + 1] = out->offset[i] + k;
    }
    return 0;
}

static int build_text(struct loading *l, int part, int col, struct part *out, struct err *e) {
    out->raw = X_NEW(struct column, 1);
    if (gather_text(l, part, col, out->raw, e)) return -1;
    struct texts t = {out->raw, NULL, out->n, l->opts.progress, l->opts.ctx, atomic_load(&threads)};
    if (part == PART_TRAIN && !prep_is(l, "text") && encoder_learn(&l->enc, &t, l->a->vocab, e)) return -1;
    out->col[0].name = mem_str("text");
    if (encoder_encode(&l->enc, &t, part == PART_TRAIN, &out->col[0], e)) return -1;
    if (!l->enc.cut) return 0;
    log_write(LOG_WARN, "data %s: %lld of %lld %s texts are longer than %lld tokens and were cut", l->src.name, (long long)l->enc.cut, (long long)out->n,
        part_names[part], (long long)l->enc.len);
    struct val *cut = val_get(l->d->identity, "cut");
    if (!cut) val_set(l->d->identity, "cut", cut = val_table());
    val_set_int(cut, part_names[part], l->enc.cut);
    return 0;
}

static void build_target(struct loading *l, int part, struct column *out) {
    int64_t n = l->n[part], w = l->target.width > 1 ? l->target.width : 1;
    *out = (struct column){.name = mem_str("y"),
        .type = l->target.number ? COL_F32 : COL_I32,
        .ndim = w > 1 || l->target.sequence,
        .dim = {w},
        .width = w,
        .scale = 1,
        .max_id = l->target.n_class};
    int32_t *p = out->data = X_NEW(int32_t, (size_t)(n * w) + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = l->idx[part][i];
        if (l->target.number) memcpy((float *)out->data + i * w, l->num[l->from[part]] + row * w, (size_t)w * sizeof(float));
        else if (l->target.sequence) memcpy(p + i * w, l->cls[l->from[part]] + row * w, (size_t)w * sizeof(int32_t));
        else p[i] = l->cls[l->from[part]][row];
    }
}

static int build_part(struct loading *l, int part, struct err *e) {
    struct part *out = &l->d->part[part];
    int cols[FORMAT_MAX_COLUMNS], r = 0;
    if (!l->n[part]) return 0;
    out->n = l->n[part];
    out->n_col = 1 + l->has_y;
    out->col = X_NEW(struct column, (size_t)out->n_col);
    for (int i = 0; i < l->n_x; i++)
        if ((cols[i] = same_column(l, l->from[part], l->x[i], e)) < 0) return -1;
    const struct table *t = &l->tab[l->from[part]];
    if (l->input == INPUT_ARRAY) r = build_array(l, part, cols[0], &out->col[0], e);
    else if (l->input == INPUT_TEXT) r = build_text(l, part, cols[0], out, e);
    else {
        if (part == PART_TRAIN && !prep_is(l, "table")) r = tabular_learn(&l->tabular, t, cols, l->n_x, l->idx[part], out->n, l->a->standardize, e);
        out->col[0].name = mem_str("x");
        if (!r) r = tabular_fill(&l->tabular, t, cols, l->idx[part], out->n, &out->col[0], e);
    }
    if (!r && l->has_y) build_target(l, part, &out->col[1]);
    return r;
}

/* What was learned when the model was trained. */
static int take_prep(struct loading *l, struct err *e) {
    l->prep = l->a->like ? val_get(l->a->like, "prep") : NULL;
    if (prep_is(l, "table")) return tabular_from_val(&l->tabular, l->prep, e);
    if (!prep_is(l, "text") || l->stream) return 0;
    encoder_release(&l->enc);
    return encoder_from_val(&l->enc, l->prep, e);
}

static void scale_as_prep(struct loading *l) {
    for (int p = 0; p < PART_N; p++)
        if (l->d->part[p].n) {
            l->d->part[p].col[0].scale = (float)val_get_num(l->prep, "scale", 1);
            l->d->part[p].col[0].shift = (float)val_get_num(l->prep, "shift", 0);
        }
}

static void make_prep(struct loading *l) {
    struct dataset *d = l->d;
    const struct column *c = &d->part[PART_TRAIN].col[0];
    if (l->input == INPUT_TEXT) d->prep = encoder_to_val(&l->enc);
    else if (l->input == INPUT_TABLE) d->prep = tabular_to_val(&l->tabular);
    else {
        struct val *shape = val_list();
        for (int i = 0; i < c->ndim; i++) val_push(shape, val_int(c->dim[i]));
        d->prep = val_table();
        val_set_str(d->prep, "kind", "array");
        val_set_str(d->prep, "dtype", c->type == COL_U8 ? "u8" : c->type == COL_I32 ? "i32" : "f32");
        val_set(d->prep, "shape", shape);
        val_set_num(d->prep, "scale", c->scale);
        val_set_num(d->prep, "shift", c->shift);
        if (l->opts.size) val_set_int(d->prep, "size", l->opts.size);
        if (l->rate) val_set_int(d->prep, "rate", l->rate);
    }
    const struct val *columns = val_get(d->identity, "columns");
    if (columns && val_get(columns, "target")) val_set_str(d->prep, "y", val_get_str(columns, "target", ""));
    if (columns && val_get(columns, "text")) val_set_str(d->prep, "x", val_get_str(columns, "text", ""));
    if (l->target.number) {
        struct val *y = val_table();
        val_set_num(y, "mean", l->y_mean);
        val_set_num(y, "std", l->y_std);
        val_set(d->prep, "target", y);
    }
    d->vocab = l->enc.vocab;
    l->enc.vocab = NULL;
    d->len = l->input == INPUT_TEXT ? l->enc.len : 0;
    d->n_input = 1;
    if (!l->stream) {
        d->n_class = l->target.n_class;
        d->longest = l->target.sequence ? l->target.width : 0;
        d->class_name = l->target.name;
        l->target.name = NULL;
    }
    struct val *rows = val_table();
    for (int p = 0; p < PART_N; p++) val_set_int(rows, part_names[p], d->part[p].n);
    val_set(d->identity, "rows", rows);
    val_set_int(d->identity, "split", l->a->split);
    if (l->src.variant) val_set_str(d->identity, "variant", l->src.variant);
    if (l->src.recipe) val_set_str(d->identity, "licence", l->src.recipe->licence);
}

static void loading_release(struct loading *l) {
    for (int p = 0; p < PART_N; p++) {
        table_free(&l->tab[p]);
        free(l->cls[p]);
        free(l->num[p]);
        free(l->idx[p]);
    }
    target_release(&l->target);
    encoder_release(&l->enc);
    tabular_release(&l->tabular);
    val_free(l->left);
    source_free(&l->src);
    for (char **w = l->want; w && *w; w++) free(*w);
    free(l->want);
    free(l);
}

/* Of a set that is no stream: its columns, its classes and the rows of its parts. */
static int draw_columns(struct loading *l, struct err *e) {
    int y;
    if (choose_columns(l, &y, e) || read_targets(l, y, e) || check_arguments(l, e)) return -1;
    choose_note(l, y);
    return draw(l, e);
}

struct dataset *dataset_load(const struct data_args *a, const char *const *search, data_progress fn, void *ctx, struct err *e) {
    struct loading *l = X_NEW(struct loading, 1);
    struct dataset *d = l->d = X_NEW(struct dataset, 1);
    int r;
    l->a = a;
    l->opts.progress = fn;
    l->opts.ctx = ctx;
    d->refs = 1;
    d->identity = val_table();
    r = source_find(a->name, a->variant, search, &l->src, e);
    if (!r) {
        d->name = mem_str(l->src.name);
        d->path = mem_str(l->src.path);
        val_set_str(d->identity, "name", d->name);
        val_set_str(d->identity, "path", d->path);
        val_set(d->identity, "files", val_list());
        r = read_options(l, e) || encoder_from_args(&l->enc, a, search, e);
        if (!r) l->tabular.missing = a->missing, r = take_prep(l, e);
        if (!r) r = read_tables(l, e);
        if (!r && l->stream) r = build_stream(l, e) || check_arguments(l, e);
        else if (!r) r = draw_columns(l, e);
    }
    for (int p = 0; p < PART_N && !r && !l->stream; p++) r = build_part(l, p, e);
    if (!r) {
        if (l->input == INPUT_ARRAY && prep_is(l, "array")) scale_as_prep(l);
        else if (l->input == INPUT_ARRAY && (a->normalize || l->rate)) normalise(d);
        else if (l->input == INPUT_ARRAY && !l->src.recipe) note_range(l);
        scale_target(l);
        make_prep(l);
    }
    loading_release(l);
    if (!r) return d;
    dataset_unref(d);
    return NULL;
}
