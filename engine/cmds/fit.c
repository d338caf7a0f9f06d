/* A data set and a model that meet: the same classes, ids the model has, texts prepared as it was trained and no longer than its positions. */
#include "config.h"

#include <string.h>

#include "datasets/dataset.h"
#include "engine/cmds/pick.h"
#include "src/base/log.h"
#include "src/base/err.h"

static int same_classes(const struct model *m, const struct dataset *d, struct err *e) {
    const struct val *names = val_get(m->desc, "classes");
    for (size_t i = 0; i < val_len(names) && i < (size_t)d->n_class; i++) {
        const struct val *v = val_at(names, i);
        if (v->type == VAL_STR && strcmp(v->u.s.p, d->class_name[i]) != 0)
            return err_set(
                e, "class %zu of the model is \"%s\", of the data \"%s\": the model was trained on other classes", i + 1, v->u.s.p, d->class_name[i]);
    }
    return 0;
}

/* Ids beyond the model's table would have no vector. */
static int same_ids(const struct model *m, const struct dataset *d, unsigned parts, struct err *e) {
    const struct val *inputs = val_get(m->desc, "input");
    for (int i = 0; i < PART_N; i++)
        for (int k = 0; (parts & 1u << i) && k < d->part[i].n_col - 1; k++) {
            const struct column *c = &d->part[i].col[k];
            int64_t ids = (size_t)k < val_len(inputs) ? val_get_int(val_at(inputs, (size_t)k), "ids", 0) : 0;
            if (ids > 0 && (c->type == COL_TOKENS || c->type == COL_I32) && c->max_id > ids)
                return err_set(e,
                    "column \"%s\" of data %s has %lld ids, the model's input takes %lld: load the data with vocab=%lld, or make the model with input=data",
                    c->name, d->name, (long long)c->max_id, (long long)ids, (long long)ids);
        }
    return 0;
}

/* Two preparations of the same inputs; without `len` texts may differ in the length kept at most. */
static bool same_inputs(const struct val *a, const struct val *b, bool len) {
    struct val *x = val_copy(a), *y = val_copy(b);
    static const char *const other[] = {"target", "x", "y"}; /* the scale of the target, names of columns */
    for (size_t i = 0; i < LEN(other); i++) val_unset(x, other[i]), val_unset(y, other[i]);
    if (!len) val_unset(x, "len"), val_unset(y, "len");
    bool same = val_equal(x, y);
    val_free(x), val_free(y);
    return same;
}

static bool keeps_texts(const struct dataset *d, unsigned parts) {
    for (int i = 0; i < PART_N; i++)
        if ((parts & 1u << i) && d->part[i].n > 0 && (!d->part[i].raw || d->part[i].n_col != 2)) return false;
    return true;
}

/* In its own words, cut where the model's positions end. */
static struct dataset *as_it_is(const struct model *m, struct dataset *d, unsigned parts, struct err *e) {
    int64_t longest = model_positions(m);
    if (same_ids(m, d, parts, e) < 0) return NULL;
    if (longest > 0) return dataset_fit(d, NULL, longest, parts, e);
    dataset_ref(d);
    return d;
}

static struct dataset *fit_inputs(const struct model *m, struct dataset *d, unsigned parts, struct err *e) {
    const struct val *prep = val_get(m->desc, "prep");
    if (!prep || !d->prep || same_inputs(prep, d->prep, true)) return as_it_is(m, d, parts, e);
    if (keeps_texts(d, parts)) return dataset_fit(d, prep, 0, parts, e);
    log_write(LOG_WARN, "the data was prepared in another way than the model's training data; its numbers may mean something else");
    return as_it_is(m, d, parts, e);
}

struct dataset *pick_fit(const struct model *m, struct dataset *d, unsigned parts, struct err *e) {
    struct dataset *x = same_classes(m, d, e) < 0 ? NULL : fit_inputs(m, d, parts, e);
    return x ? dataset_retarget(x, val_get(m->desc, "prep")) : NULL;
}

const struct part *pick_fit_part(const struct model *m, struct dataset *d, const struct part *p, struct dataset **fit, struct err *e) {
    int i = (int)(p - d->part);
    *fit = pick_fit(m, d, 1u << i, e);
    return *fit ? &(*fit)->part[i] : NULL;
}

static struct dataset *fit_training(struct model *m, struct dataset *d, struct err *e) {
    const unsigned parts = 1u << PART_TRAIN | 1u << PART_VAL;
    struct val *prep = val_get(m->desc, "prep"), *input = val_at(val_get(m->desc, "input"), 0);
    bool other = prep && d->prep && !same_inputs(prep, d->prep, true), words = other && !same_inputs(prep, d->prep, false);
    if (words && keeps_texts(d, parts)) {
        log_write(LOG_WARN, "data %s was encoded in another way than the model's words: its texts are encoded anew as the model takes them", d->name);
        return dataset_fit(d, prep, 0, parts, e);
    }
    struct dataset *fit = as_it_is(m, d, parts, e);
    if (fit && other && !words) {
        val_set_int(prep, "len", fit->len);
        if (input && fit->len > 0) val_set_int(input, "len", fit->len);
    }
    return fit;
}

int pick_pair_training(struct job *j, const struct val *model, const struct val *data, struct pair *out, struct err *e) {
    if (pick_pair(j, model, data, out, e) < 0) return -1;
    struct dataset *fit = fit_training(out->m, out->d, e);
    dataset_unref(out->d);
    out->d = fit ? dataset_retarget(fit, val_get(out->m->desc, "prep")) : NULL;
    return fit ? 0 : -1;
}
