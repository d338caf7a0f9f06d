/* A data set as a model takes it: its texts encoded by the model's own preparation, or cut to the longest it has positions for. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/dataset.h"
#include "src/base/log.h"
#include "src/base/mem.h"

/* The texts of a part encoded by prep; ids, offsets and weights of col[0] become c's own. */
static int encode(const struct part *p, const struct val *prep, struct column *c, struct err *e) {
    const char *kind = val_get_str(prep, "kind", "");
    if (strcmp(kind, "text") != 0) return err_set(e, "the data holds texts, but the preparation saved with the model is of the kind \"%.40s\"", kind);
    struct val *texts = val_list();
    for (int64_t i = 0; i < p->n; i++)
        val_push(texts, val_strn((const char *)p->raw->data + p->raw->offset[i], (size_t)(p->raw->offset[i + 1] - p->raw->offset[i])));
    struct part *made = dataset_prepare(prep, texts, e);
    val_free(texts);
    if (!made) return -1;
    struct column *from = &made->col[0];
    c->data = from->data, c->offset = from->offset, c->weight = from->weight, c->max_id = from->max_id;
    from->data = NULL, from->offset = NULL, from->weight = NULL;
    part_free(made);
    return 0;
}

static int64_t too_long(const struct column *c, int64_t n, int64_t longest) {
    int64_t cut = 0;
    for (int64_t i = 0; i < n; i++) cut += c->offset[i + 1] - c->offset[i] > longest;
    return cut;
}

static bool any_longer(const struct dataset *d, unsigned parts, int64_t longest) {
    for (int i = 0; i < PART_N; i++)
        for (int k = 0; (parts & 1u << i) && k < d->part[i].n_col; k++)
            if (d->part[i].col[k].type == COL_TOKENS && too_long(&d->part[i].col[k], d->part[i].n, longest)) return true;
    return false;
}

/* The first (tail: last) `longest` tokens of each text of `from`. */
static int shorten(const struct column *from, int64_t n, int64_t longest, bool tail, struct column *c, struct err *e) {
    int64_t *offset = X_NEW(int64_t, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = from->offset[i + 1] - from->offset[i];
        offset[i + 1] = offset[i] + (k > longest ? longest : k);
    }
    int32_t *ids = mem_try((size_t)offset[n] + 1, sizeof *ids, "the shorter texts", e);
    float *weight = ids && from->weight ? mem_try((size_t)offset[n] + 1, sizeof *weight, "the shorter texts", e) : NULL;
    if (!ids || (from->weight && !weight)) {
        free(offset), free(ids);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t k = offset[i + 1] - offset[i], at = tail ? from->offset[i + 1] - k : from->offset[i];
        memcpy(ids + offset[i], (const int32_t *)from->data + at, (size_t)k * sizeof *ids);
        if (weight) memcpy(weight + offset[i], from->weight + at, (size_t)k * sizeof *weight);
    }
    c->data = ids, c->offset = offset, c->weight = weight;
    return 0;
}

/* A data set that borrows all of d but what the caller replaces. */
static struct dataset *borrow(struct dataset *d, const struct val *prep, unsigned parts) {
    struct dataset *x = X_NEW(struct dataset, 1);
    *x = *d;
    atomic_init(&x->refs, 1);
    x->of = d;
    dataset_ref(d);
    x->name = mem_str(d->name ? d->name : "");
    x->path = d->path ? mem_str(d->path) : NULL;
    x->prep = val_copy(prep);
    x->identity = val_copy(d->identity);
    for (int i = 0; i < PART_N; i++) {
        struct part *p = &x->part[i];
        if (!(parts & 1u << i)) *p = (struct part){0};
        if (p->n_col < 1) continue;
        p->col = X_NEW(struct column, (size_t)p->n_col);
        memcpy(p->col, d->part[i].col, (size_t)p->n_col * sizeof *p->col);
    }
    return x;
}

static void note(struct dataset *x, int part, int64_t cut, int64_t longest) {
    log_write(LOG_WARN, "data %s: %lld of %lld %s texts are longer than the %lld tokens that the model has positions for and were cut", x->name, (long long)cut,
        (long long)x->part[part].n, part_names[part], (long long)longest);
    struct val *all = x->identity ? val_get(x->identity, "cut") : NULL;
    if (x->identity && !all) val_set(x->identity, "cut", all = val_table());
    if (all) val_set_int(all, part_names[part], cut);
}

struct dataset *dataset_fit(struct dataset *d, const struct val *prep, int64_t longest, unsigned parts, struct err *e) {
    if (!prep && d->len > 0 && d->len <= longest && !any_longer(d, parts, longest)) {
        dataset_ref(d);
        return d;
    }
    struct dataset *x = borrow(d, prep ? prep : d->prep, parts);
    bool tail = strcmp(val_get_str(d->prep, "trunc", "head"), "tail") == 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < PART_N; i++) {
        struct part *p = &x->part[i];
        if (prep && p->n) rc = encode(p, prep, &p->col[0], e);
        for (int k = 0; rc == 0 && !prep && longest > 0 && k < p->n_col; k++) {
            struct column *c = &p->col[k];
            int64_t cut = c->type == COL_TOKENS ? too_long(c, p->n, longest) : 0;
            if (cut == 0) continue;
            rc = shorten(&d->part[i].col[k], p->n, longest, tail, c, e);
            p->slide = 0; /* windows that were cut begin where they began */
            if (k == 0) note(x, i, cut, longest);
        }
    }
    if (rc < 0) {
        dataset_unref(x);
        return NULL;
    }
    if (prep) x->vocab = NULL;
    x->len = prep ? val_get_int(prep, "len", 0) : longest > 0 && (x->len == 0 || x->len > longest) ? longest : x->len;
    if (!prep && x->len != d->len && x->prep) val_set_int(x->prep, "len", x->len);
    return x;
}

/* The targets of a part, where they are numbers, one an example. */
static struct column *numbers(const struct dataset *d, int part) {
    const struct part *p = &d->part[part];
    struct column *y = p->n_col > d->n_input ? &p->col[p->n_col - 1] : NULL;
    return y && p->n > 0 && y->type == COL_F32 && y->width == 1 ? y : NULL;
}

struct dataset *dataset_retarget(struct dataset *d, const struct val *prep) {
    const struct val *y = val_get(prep, "target");
    struct column c = {0}, *own;
    bool same = true;
    double std = val_get_num(y, "std", 1);
    column_standardise(&c, val_get_num(y, "mean", 0), std > 0 ? std : 1);
    for (int i = 0; i < PART_N && prep; i++)
        if ((own = numbers(d, i))) same = same && own->scale == c.scale && own->shift == c.shift;
    if (same) return d;
    struct dataset *x = borrow(d, d->prep, ~0u);
    if (y) val_set(x->prep, "target", val_copy(y));
    else val_unset(x->prep, "target");
    for (int i = 0; i < PART_N; i++)
        if ((own = numbers(x, i))) own->scale = c.scale, own->shift = c.shift;
    dataset_unref(d);
    return x;
}
