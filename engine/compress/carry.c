/* Weights and optimiser state by name and index map. */
#include "config.h"

#include "engine/compress/carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/model/build.h"
#include "src/base/mem.h"

void index_add(struct index_map *map, const char *name, int extent, const int64_t *keep, int64_t n) {
    struct index_row *r = NULL;
    for (int i = 0; i < map->n && !r; i++)
        if (strcmp(map->row[i].name, name) == 0) r = &map->row[i];
    if (!r) {
        map->row = X_GROW(map->row, struct index_row, (size_t)map->n + 1);
        r = &map->row[map->n++];
        *r = (struct index_row){.name = mem_str(name)};
    }
    free(r->keep[extent]);
    r->keep[extent] = X_NEW(int64_t, (size_t)n + 1);
    if (n) memcpy(r->keep[extent], keep, (size_t)n * sizeof *keep);
    r->n[extent] = n;
}

void index_release(struct index_map *map) {
    for (int i = 0; i < map->n; i++) {
        free(map->row[i].name);
        free(map->row[i].keep[0]);
        free(map->row[i].keep[1]);
    }
    free(map->row);
    *map = (struct index_map){0};
}

static const struct index_row *row_of(const struct index_map *map, const char *name) {
    for (int i = 0; map && i < map->n; i++)
        if (strcmp(map->row[i].name, name) == 0) return &map->row[i];
    return NULL;
}

static struct val *in_list(const struct val *list, const char *path) {
    for (size_t i = 0; i < val_len(list); i++) {
        struct val *v = val_at(list, i);
        const char *name = val_get_str(v, "name", "");
        size_t n = strlen(name);
        if (strcmp(name, path) == 0) return v;
        struct val *inner = strncmp(name, path, n) == 0 && path[n] == '.' ? in_list(val_get(v, "layers"), path + n + 1) : NULL;
        if (inner) return inner;
    }
    return NULL;
}
struct val *desc_layer(struct val *desc, const char *path) {
    return in_list(val_get(desc, "layers"), path);
}

void desc_hold(struct val *desc, const char *param, const char *how) {
    char path[256];
    snprintf(path, sizeof path, "%s", param);
    for (char *dot = strrchr(path, '.'); dot; dot = strrchr(path, '.')) { /* the longest name of a layer in front of it */
        *dot = 0;
        struct val *l = desc_layer(desc, path);
        if (!l) continue;
        struct val *store = val_get(l, "store");
        if (!store) val_set(l, "store", store = val_table());
        val_set_str(store, param + strlen(path) + 1, how);
        return;
    }
    BUG("no layer has the parameter %s", param);
}

bool keep_has(const struct val *keep, const char *param) {
    for (size_t i = 0; i < val_len(keep); i++)
        if (val_at(keep, i)->type == VAL_STR && optim_match(val_at(keep, i)->u.s.p, param)) return true;
    return keep && keep->type == VAL_STR && optim_match(keep->u.s.p, param);
}

static int keep_one(const struct model *m, const struct val *pattern, const char *what, struct err *e) {
    if (pattern->type != VAL_STR)
        return err_code(e, ERR_USAGE, "%s: keep is a name of a layer or parameter, or a list of them, not a %s", what, val_type_name(pattern));
    for (int i = 0; i < m->n_param; i++)
        if (optim_match(pattern->u.s.p, m->param[i].name)) return 0;
    return err_code(e, ERR_USAGE, "%s: keep names \"%.60s\", but no parameter matches; model:summary() lists the layers", what, pattern->u.s.p);
}
int keep_check(const struct model *m, const struct val *keep, const char *what, struct err *e) {
    if (!keep || keep->type == VAL_NIL) return 0;
    if (keep->type != VAL_TABLE) return keep_one(m, keep, what, e);
    for (size_t i = 0; i < val_len(keep); i++)
        if (keep_one(m, val_at(keep, i), what, e) < 0) return -1;
    return 0;
}

/* out = what is left of src, whose shape is dim. */
static void gather(const struct index_row *r, const float *src, const int64_t *dim, int ndim, float *out) {
    int64_t rest = 1, cols = ndim > 1 ? dim[1] : 1, rows = r->keep[0] ? r->n[0] : dim[0], left = ndim > 1 && r->keep[1] ? r->n[1] : cols;
    for (int i = 2; i < ndim; i++) rest *= dim[i];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < left; j++, out += rest) {
            int64_t a = r->keep[0] ? r->keep[0][i] : i, b = r->keep[1] ? r->keep[1][j] : j;
            memcpy(out, src + (a * cols + b) * rest, (size_t)rest * sizeof *out);
        }
}

static bool fits(const struct param *from, const struct param *to, const struct index_row *r) {
    if (from->ndim != to->ndim) return false;
    for (int i = 0; i < to->ndim; i++)
        if (to->dim[i] != (r && i < 2 && r->keep[i] ? r->n[i] : from->dim[i])) return false;
    return true;
}

static void copy_bits(const struct model *old, const struct param *from, struct model *m, const struct param *to) {
    mirror_read(old->data);
    if (to->bytes) memcpy((char *)m->data + to->offset, (const char *)old->data + from->offset, to->bytes);
}

/* "w.scale" of a parameter w that is quantised here: it comes with w. */
static bool comes_with(const struct model *m, const struct param *p) {
    char name[256];
    size_t n = strlen(p->name);
    if (n < 7 || strcmp(p->name + n - 6, ".scale") != 0) return false;
    snprintf(name, sizeof name, "%.*s", (int)(n - 6), p->name);
    const struct param *w = model_param(m, name);
    return w && w->dtype == DT_I8;
}

static int carry_param(const struct model *old, struct model *m, const struct param *to, const struct index_map *map, struct err *e) {
    const struct param *from = model_param(old, to->name);
    const struct index_row *r = row_of(map, to->name);
    if (!from && comes_with(m, to)) return 0;
    if (!from || (!fits(from, to, r) && !comes_with(m, to))) return err_set(e, "%s: the model has no such parameter of the right shape", to->name);
    if (!r && from->dtype == to->dtype && from->bytes == to->bytes && fits(from, to, NULL)) {
        copy_bits(old, from, m, to);
        return 0;
    }
    if (comes_with(m, to)) return 0;
    float *w = mem_try((size_t)from->len + 1, sizeof *w, "the weights", e), *left = w ? mem_try((size_t)to->len + 1, sizeof *w, "the weights", e) : NULL;
    if (left) {
        param_get(old, from, w);
        if (r) gather(r, w, from->dim, from->ndim, left);
        else memcpy(left, w, (size_t)to->len * sizeof *w);
        param_put(m, to, left);
    }
    free(w);
    free(left);
    return left ? 0 : -1;
}

struct model *carry_model(const struct model *old, struct val *desc_take, const struct index_map *map, struct err *e) {
    struct val *desc = model_describe(desc_take, NULL, e);
    val_free(desc_take);
    struct model *m = desc ? model_blank(desc, old->seed, e) : NULL;
    if (!m) return NULL;
    int rc = m->bytes && !(m->data = mem_try(m->bytes, 1, "the weights", e)) ? -1 : 0;
    /* first what is copied, then what is quantised: a cut matrix in 8 bits gets scales of its own, which must not be overwritten */
    for (int pass = 0; pass < 2 && rc == 0; pass++)
        for (int i = 0; i < m->n_param && rc == 0; i++)
            if ((m->param[i].dtype == DT_I8) == (pass == 1)) rc = carry_param(old, m, &m->param[i], map, e);
    if (rc == 0) return m;
    model_free(m);
    return NULL;
}

void carry_states(const struct model *old, const struct optimiser *from, const struct model *now, struct optimiser *to, const struct index_map *map) {
    to->t = from->t;
    for (int i = 0; i < now->n_param && i < to->l.n_slot; i++) {
        const struct param *p = &now->param[i], *was = model_param(old, p->name);
        const struct optim_slot *b = &to->l.slot[i], *a = was && was - old->param < from->l.n_slot ? &from->l.slot[was - old->param] : NULL;
        const struct index_row *r = row_of(map, p->name);
        for (int k = 0; a && k < a->n && k < b->n; k++) {
            char *dst = (char *)to->l.state + b->at[k];
            const char *src = (const char *)from->l.state + a->at[k];
            bool shaped = a->state[k].ndim == was->ndim && memcmp(a->state[k].dim, was->dim, (size_t)was->ndim * sizeof *was->dim) == 0;
            if (r && shaped && a->state[k].dtype == DT_F32 && a->bytes[k] >= (size_t)was->len * sizeof(float))
                gather(r, (const float *)src, was->dim, was->ndim, (float *)dst);
            else if (a->bytes[k] == b->bytes[k] && !(r && shaped)) memcpy(dst, src, b->bytes[k]);
        }
    }
}
