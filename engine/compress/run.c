/* A recipe at work: each step makes a candidate from the last model that was kept; the candidate is evaluated on the same rows and timed in turns with that
 * model. It is kept unless it is slower beyond noise (and not forced) or further below the model given than max_drop. The report has a row a step with what
 * was measured. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "src/base/mem.h"

struct work {
    const struct compress_spec *s;
    struct worth start, last; /* of the model given, and of the last kept */
    struct model *kept; /* NULL: the model given */
    struct val *steps;
    bool met;
};

static void put_worth(struct val *row, const struct worth *w) {
    static const char *const names[] = {"acc", "acc_lo", "acc_hi", "f1_macro", "ler", "r2", "rmse", "loss", "n"};
    for (size_t i = 0; i < LEN(names); i++)
        if (val_get(w->values, names[i])) val_set(row, names[i], val_copy(val_get(w->values, names[i])));
    val_set_int(row, "bytes", w->bytes);
    val_set_int(row, "memory", w->memory);
    val_set_int(row, "params", w->params);
    val_set_int(row, "macs", w->macs);
}

static void put_speed(struct val *row, const struct pair_speed p[SPEEDS], int64_t rows, bool before) {
    val_set_num(row, "p50_ms", 1e3 * (before ? p[SPEED_ONE].a50 : p[SPEED_ONE].b50));
    val_set_num(row, "p99_ms", 1e3 * (before ? p[SPEED_ONE].a99 : p[SPEED_ONE].b99));
    val_set_num(row, "examples_s", (double)rows / (before ? p[SPEED_MANY].a50 : p[SPEED_MANY].b50));
    if (before) return;
    for (int i = 0; i < SPEEDS; i++) { /* how many times faster, and its interval */
        val_set_num(row, i ? "faster_32" : "faster_1", 1 / p[i].ratio);
        val_set_num(row, i ? "faster_32_lo" : "faster_1_lo", 1 / p[i].hi);
        val_set_num(row, i ? "faster_32_hi" : "faster_1_hi", 1 / p[i].lo);
    }
}

/* Rows that only one of the two has right, and the exact paired test. */
static void put_pairs(struct val *row, const struct part *part, const struct worth *a, const struct worth *b) {
    const struct column *y = &part->col[part->n_col - 1];
    int64_t lost = 0, won = 0;
    if (!a->guess || !b->guess || y->type != COL_I32) return;
    for (int64_t i = 0; i < part->n; i++) {
        int32_t c = ((const int32_t *)y->data)[i];
        lost += a->guess[i] == c && b->guess[i] != c;
        won += a->guess[i] != c && b->guess[i] == c;
    }
    val_set_int(row, "lost", lost);
    val_set_int(row, "won", won);
    val_set_num(row, "p_mcnemar", metric_mcnemar(lost, won));
}

/* Why the candidate is not kept, as a sentence; empty: it is. */
static void judge(struct work *w, const struct pair_speed p[SPEEDS], const struct worth *now, char *why, size_t size) {
    double drop = w->start.quality - now->quality;
    const char *of = val_get(now->values, "acc") ? "accuracy" : "r2";
    *why = 0;
    if (!isnan(w->s->max_drop) && !(drop <= w->s->max_drop + 1e-12)) {
        snprintf(why, size, "%s on the %s part falls from %.4f to %.4f, by %.4f where max_drop allows %.4f", of, w->s->split, w->start.quality, now->quality,
            drop, w->s->max_drop);
        w->met = false;
        return;
    }
    for (int i = 0; i < SPEEDS && !w->s->force; i++)
        if (pair_slower(&p[i])) {
            snprintf(why, size, "slower at batch %d: %.4g ms before, %.4g ms after, %.3f times (95 %%: %.3f to %.3f)", i ? SPEED_ROWS : 1, 1e3 * p[i].a50,
                1e3 * p[i].b50, p[i].ratio, p[i].lo, p[i].hi);
            return;
        }
}

static void say(const struct work *w, struct val *row_take) {
    val_push(w->steps, row_take);
    if (w->s->said) w->s->said(w->s->bed.ctx, row_take);
}

static void phase(const struct work *w, const char *what, int64_t i) {
    if (w->s->bed.phase) w->s->bed.phase(w->s->bed.ctx, what, i, w->s->recipe->n);
}

static bool unchanged(const struct model *a, const struct model *b) {
    return a->bytes == b->bytes && val_equal(a->desc, b->desc) && memcmp(a->data, b->data, a->bytes) == 0;
}

/* Takes the candidate. */
static int weigh(struct work *w, struct model *made, struct val *row, struct err *e) {
    const struct compress_spec *s = w->s;
    const struct model *before = w->kept ? w->kept : s->model;
    struct worth now;
    struct pair_speed p[SPEEDS];
    char why[256];
    int64_t rows = s->bed.part->n < SPEED_ROWS ? s->bed.part->n : SPEED_ROWS;
    if (measure_worth(&s->bed, made, s->loss, &now, e) < 0) {
        model_free(made);
        return -1;
    }
    int rc = measure_pair(&s->bed, before, made, p, e);
    if (rc == 0) {
        bool same = unchanged(before, made);
        if (same) snprintf(why, sizeof why, "it leaves the model as it was");
        else judge(w, p, &now, why, sizeof why);
        put_worth(row, &now);
        put_speed(row, p, rows, same);
        put_pairs(row, s->bed.part, &w->last, &now);
        val_set_bool(row, "kept", !*why);
        if (*why) val_set_str(row, "why", why);
        if (!val_get(val_at(w->steps, 0), "p50_ms")) put_speed(val_at(w->steps, 0), p, rows, true);
    }
    if (rc == 0 && !*why) {
        model_free(w->kept);
        w->kept = made;
        worth_release(&w->last);
        w->last = now;
    } else {
        model_free(made);
        worth_release(&now);
    }
    return rc;
}

static int one_step(struct work *w, int i, struct err *e) {
    const struct recipe_step *r = &w->s->recipe->step[i];
    struct index_map map = {0};
    struct squeeze q = {.bed = &w->s->bed, .note = val_table(), .map = &map};
    struct val *row = val_table();
    phase(w, r->name, i);
    val_set_str(row, "name", r->name);
    val_set(row, "args", args_to_val(&r->row->kind, r->args));
    struct model *made = r->row->run(w->kept ? w->kept : w->s->model, r->args, &q, e);
    int rc = made ? weigh(w, made, row, e) : -1;
    if (val_get(q.note, "claim")) val_set(row, "claim", val_copy(val_get(q.note, "claim")));
    val_set(row, "did", q.note);
    index_release(&map);
    if (rc == 0) say(w, row);
    else val_free(row);
    return rc;
}

static struct val *head_of(const struct compress_spec *s) {
    struct val *v = val_table();
    val_set_str(v, "model", val_get_str(s->model->desc, "name", "model"));
    val_set_str(v, "data", s->data);
    val_set_str(v, "split", s->split);
    val_set_int(v, "threads", pool_threads(s->bed.pool));
    val_set_str(v, "kernels", ops_isa());
    if (!isnan(s->max_drop)) val_set_num(v, "max_drop", s->max_drop);
    return v;
}

static int64_t zeros(const struct model *m, const struct param *p) {
    float *w = p->dtype == DT_F32 ? NULL : mem_try((size_t)p->len + 1, sizeof *w, "the values of a weight", NULL);
    const float *v = p->dtype == DT_F32 ? (const float *)((const char *)m->data + p->offset) : w;
    int64_t n = 0;
    if (w) param_get(m, p, w);
    for (int64_t i = 0; v && i < p->len; i++) n += v[i] == 0;
    free(w);
    return n;
}

static int bits_of(const struct param *p) { return dtypes[p->store].bits; }

/* What became of each weight: values, bits and bytes in files, share of zeros, and bits and bytes before where a weight of that name was there. */
static struct val *layers_of(const struct model *before, const struct model *after) {
    struct val *list = val_list();
    for (int i = 0; i < after->n_param; i++) {
        const struct param *p = &after->param[i], *was = NULL;
        struct val *v = val_table();
        for (int j = 0; j < before->n_param && !was; j++)
            if (strcmp(before->param[j].name, p->name) == 0) was = &before->param[j];
        val_set_str(v, "name", p->name);
        val_set_int(v, "n", p->len);
        val_set_int(v, "bits", bits_of(p));
        val_set_int(v, "bytes", (p->len * bits_of(p) + 7) / 8);
        if (was) {
            val_set_int(v, "bits_before", bits_of(was));
            val_set_int(v, "bytes_before", (was->len * bits_of(was) + 7) / 8);
        }
        val_set_num(v, "sparsity", p->len > 0 ? (double)zeros(after, p) / (double)p->len : 0);
        val_push(list, v);
    }
    return list;
}

static void conclude(const struct work *w, struct val *v) {
    static const char *const names[] = {"acc", "acc_lo", "acc_hi", "r2", "bytes", "p50_ms", "p99_ms", "examples_s", "memory", "params", "macs"};
    const struct val *first = val_at(w->steps, 0), *last = first;
    for (size_t i = 1; i < val_len(w->steps); i++)
        if (val_get_bool(val_at(w->steps, i), "kept", false)) last = val_at(w->steps, i);
    for (size_t i = 0; i < LEN(names); i++) {
        char before[32];
        snprintf(before, sizeof before, "%s_before", names[i]);
        if (val_get(last, names[i])) val_set(v, names[i], val_copy(val_get(last, names[i])));
        if (val_get(first, names[i])) val_set(v, before, val_copy(val_get(first, names[i])));
    }
    struct val *pair = val_table();
    put_pairs(pair, w->s->bed.part, &w->start, &w->last);
    if (val_get(pair, "p_mcnemar")) val_set(v, "p_mcnemar", val_copy(val_get(pair, "p_mcnemar")));
    val_free(pair);
    val_set_num(v, "drop", w->start.quality - w->last.quality);
    val_set_bool(v, "met", w->met);
}

static struct worth worth_copy(const struct worth *w, int64_t n) {
    struct worth c = *w;
    c.values = val_copy(w->values);
    c.counts = val_copy(w->counts);
    c.guess = w->guess ? X_NEW(int32_t, (size_t)n + 1) : NULL;
    if (w->guess) memcpy(c.guess, w->guess, (size_t)n * sizeof *c.guess);
    return c;
}

int compress_run(const struct compress_spec *s, struct compress_result *out, struct err *e) {
    struct work w = {.s = s, .steps = val_list(), .met = true};
    *out = (struct compress_result){0};
    int rc = measure_worth(&s->bed, s->model, s->loss, &w.start, e);
    if (rc == 0) {
        struct val *row = val_table();
        w.last = worth_copy(&w.start, s->bed.part->n);
        val_set_str(row, "name", "as given");
        val_set_bool(row, "kept", true);
        put_worth(row, &w.start);
        say(&w, row);
    }
    for (int i = 0; i < s->recipe->n && rc == 0; i++) rc = one_step(&w, i, e);
    if (rc == 0) {
        out->report = head_of(s);
        conclude(&w, out->report);
        val_set(out->report, "steps", w.steps);
        w.steps = NULL;
        out->met = w.met;
        out->before = val_copy(w.start.counts);
        out->after = val_copy(w.last.counts);
        out->model = w.kept ? w.kept : model_clone(s->model);
        w.kept = NULL;
        if (!out->model) rc = err_set(e, "there is not enough memory for a copy of the model");
        else {
            val_free(out->model->report);
            out->model->report = val_copy(out->report);
            val_set(out->report, "layers", layers_of(s->model, out->model));
        }
    }
    if (rc < 0) {
        val_free(out->before);
        val_free(out->after);
        val_free(out->report);
        *out = (struct compress_result){0};
    }
    model_free(w.kept);
    val_free(w.steps);
    worth_release(&w.start);
    worth_release(&w.last);
    return rc;
}
