/* Parameters in 8 and 16 bits: values out of them and into them. Engine thread, or whoever owns the model. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/model/model.h"
#include "engine/ops/i8.h"
#include "src/base/log.h"
#include "src/base/mem.h"

struct param *model_param(const struct model *m, const char *name) {
    for (int i = 0; i < m->n_param; i++)
        if (strcmp(m->param[i].name, name) == 0) return &m->param[i];
    return NULL;
}

int64_t model_i8(const struct model *m, const char **first) {
    int64_t n = 0;
    for (int i = 0; i < m->n_param; i++)
        if (m->param[i].dtype == DT_I8 && n++ == 0 && first) *first = m->param[i].name;
    return n;
}

int64_t model_values(const struct model *m) {
    int64_t n = 0;
    for (int i = 0; i < m->n_param; i++) n += m->param[i].len;
    for (int i = 0; i < m->n_param; i++) n -= m->param[i].dtype == DT_I8 ? m->param[i].dim[0] : 0;
    return n;
}

static float *scales_of(const struct model *m, const struct param *p) {
    char name[256];
    snprintf(name, sizeof name, "%.240s.scale", p->name);
    const struct param *s = model_param(m, name);
    if (!s || s->len != p->dim[0] || s->dtype != DT_F32) BUG("%s has no scales", p->name);
    return (float *)((char *)m->data + s->offset);
}

void param_get(const struct model *m, const struct param *p, float *out) {
    mirror_read(m->data);
    const void *at = (const char *)m->data + p->offset;
    if (p->dtype == DT_F32) {
        if (p->len) memcpy(out, at, (size_t)p->len * sizeof *out);
        return;
    }
    const float *s = scales_of(m, p);
    int8_t *q = X_NEW(int8_t, (size_t)p->len + 1);
    if (p->packed) i8_unpack(at, p->dim[0], p->dim[1], q);
    else memcpy(q, at, (size_t)p->len);
    for (int64_t r = 0; r < p->dim[0]; r++)
        for (int64_t i = r * p->dim[1]; i < (r + 1) * p->dim[1]; i++) out[i] = s[r] * (float)q[i];
    free(q);
}

void param_put(struct model *m, const struct param *p, const float *w) {
    mirror_read(m->data);
    mirror_wrote(m->data);
    void *at = (char *)m->data + p->offset;
    if (p->dtype == DT_F32) {
        if (p->len) memcpy(at, w, (size_t)p->len * sizeof *w);
        return;
    }
    int8_t *q = p->packed ? X_NEW(int8_t, (size_t)p->len + 1) : at;
    i8_rows(w, p->dim[0], p->dim[1], q, scales_of(m, p));
    if (!p->packed) return;
    i8_pack(q, p->dim[0], p->dim[1], at);
    free(q);
}

static bool drop_half(struct val *stack) {
    bool any = false;
    for (size_t i = 0; i < val_len(stack); i++) {
        struct val *v = val_at(stack, i), *store = val_get(v, "store"), *kept = val_table();
        any |= drop_half(val_get(v, "layers"));
        for (size_t k = 0; store && store->type == VAL_TABLE && k < store->u.t.n_field; k++)
            if (store->u.t.field[k].v->type == VAL_STR && strcmp(store->u.t.field[k].v->u.s.p, "i8") == 0) val_set_str(kept, store->u.t.field[k].name, "i8");
            else any = true;
        if (store) val_unset(v, "store");
        if (kept->u.t.n_field) val_set(v, "store", kept);
        else val_free(kept);
    }
    return any;
}

void model_ready_training(struct model *m) {
    const char *first = NULL;
    int64_t n = model_i8(m, &first);
    for (int i = 0; i < m->n_param; i++)
        if (m->param[i].dtype == DT_F32) m->param[i].store = DT_F32;
    if (drop_half(val_get(m->desc, "layers")))
        log_write(LOG_WARN, "the model's weights were stored in 16 bits; training keeps them in f32: compress it again afterwards with quant.half");
    if (n)
        log_write(
            LOG_WARN, "%lld parameters are held in 8 bits (%s%s) and stay as they are: only the others are trained", (long long)n, first, n > 1 ? ", .." : "");
}
