/* The value tree. Small failures of memory end the program; nothing else can fail. A tree belongs to one thread at a time. */
#include "config.h"

#include "src/base/val.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/mem.h"

static struct val *make(enum val_type type) {
    struct val *v = X_NEW(struct val, 1);
    v->type = type;
    return v;
}

struct val *val_nil(void) {
    return make(VAL_NIL);
}

struct val *val_bool(bool b) {
    struct val *v = make(VAL_BOOL);
    v->u.b = b;
    return v;
}

struct val *val_int(int64_t i) {
    struct val *v = make(VAL_INT);
    v->u.i = i;
    return v;
}

struct val *val_num(double n) {
    struct val *v = make(VAL_NUM);
    v->u.n = n;
    return v;
}

struct val *val_str(const char *s) {
    return s ? val_strn(s, strlen(s)) : val_nil();
}

struct val *val_strn(const char *s, size_t n) {
    struct val *v = make(VAL_STR);
    v->u.s.p = mem_strn(s, n);
    v->u.s.len = n;
    return v;
}

struct val *val_table(void) {
    return make(VAL_TABLE);
}

struct val *val_list(void) {
    struct val *v = make(VAL_TABLE);
    v->is_list = true;
    return v;
}

struct val *val_handle(struct handle h) {
    struct val *v = make(VAL_HANDLE);
    v->u.h = h;
    return v;
}

struct val *val_copy(const struct val *v) {
    if (!v) return NULL;
    struct val *c = make(v->type);
    c->is_list = v->is_list;
    switch (v->type) {
    case VAL_STR:
        c->u.s.p = mem_strn(v->u.s.p, v->u.s.len);
        c->u.s.len = v->u.s.len;
        break;
    case VAL_TABLE:
        c->u.t.n_item = c->u.t.cap_item = v->u.t.n_item;
        if (v->u.t.n_item) c->u.t.item = X_NEW(struct val *, v->u.t.n_item);
        for (size_t i = 0; i < v->u.t.n_item; i++) c->u.t.item[i] = val_copy(v->u.t.item[i]);
        c->u.t.n_field = c->u.t.cap_field = v->u.t.n_field;
        if (v->u.t.n_field) c->u.t.field = X_NEW(struct val_field, v->u.t.n_field);
        for (size_t i = 0; i < v->u.t.n_field; i++) {
            c->u.t.field[i].name = mem_str(v->u.t.field[i].name);
            c->u.t.field[i].v = val_copy(v->u.t.field[i].v);
        }
        break;
    default: c->u = v->u; break;
    }
    return c;
}

void val_free(struct val *v) {
    if (!v) return;
    if (v->type == VAL_STR) free(v->u.s.p);
    if (v->type == VAL_TABLE) {
        for (size_t i = 0; i < v->u.t.n_item; i++) val_free(v->u.t.item[i]);
        for (size_t i = 0; i < v->u.t.n_field; i++) {
            free(v->u.t.field[i].name);
            val_free(v->u.t.field[i].v);
        }
        free(v->u.t.item);
        free(v->u.t.field);
    }
    free(v);
}

static bool number(const struct val *v) { return v->type == VAL_INT || v->type == VAL_NUM; }

static bool numbers_equal(const struct val *a, const struct val *b) {
    int64_t i, j;
    if (a->type == VAL_NUM && b->type == VAL_NUM) return a->u.n == b->u.n || (isnan(a->u.n) && isnan(b->u.n));
    return val_as_int(a, &i) && val_as_int(b, &j) && i == j;
}

static bool tables_equal(const struct val *a, const struct val *b) {
    if (a->u.t.n_item != b->u.t.n_item || a->u.t.n_field != b->u.t.n_field) return false;
    for (size_t i = 0; i < a->u.t.n_item; i++)
        if (!val_equal(a->u.t.item[i], b->u.t.item[i])) return false;
    for (size_t i = 0; i < a->u.t.n_field; i++) {
        const struct val_field *f = &a->u.t.field[i], *g = &b->u.t.field[i];
        const struct val *other = strcmp(f->name, g->name) == 0 ? g->v : val_get(b, f->name); /* mostly the same order */
        if (!other || !val_equal(f->v, other)) return false;
    }
    return true;
}

bool val_equal(const struct val *a, const struct val *b) {
    if (!a || !b) return a == b;
    if (number(a) && number(b)) return numbers_equal(a, b);
    if (a->type != b->type) return false;
    switch (a->type) {
    case VAL_BOOL: return a->u.b == b->u.b;
    case VAL_STR: return a->u.s.len == b->u.s.len && memcmp(a->u.s.p, b->u.s.p, a->u.s.len) == 0;
    case VAL_TABLE: return tables_equal(a, b);
    case VAL_HANDLE: return a->u.h.id == b->u.h.id && a->u.h.gen == b->u.h.gen && a->u.h.kind == b->u.h.kind && a->u.h.sub == b->u.h.sub;
    default: return true;
    }
}

void val_push(struct val *t, struct val *v_take) {
    ASSERT_HONE(t && t->type == VAL_TABLE && v_take);
    t->u.t.item = X_ROOM(t->u.t.item, struct val *, t->u.t.n_item, &t->u.t.cap_item);
    t->u.t.item[t->u.t.n_item++] = v_take;
}

void val_append(struct val *t, const char *name, struct val *v_take) {
    ASSERT_HONE(t && t->type == VAL_TABLE && name && v_take);
    t->u.t.field = X_ROOM(t->u.t.field, struct val_field, t->u.t.n_field, &t->u.t.cap_field);
    t->u.t.field[t->u.t.n_field].name = mem_str(name);
    t->u.t.field[t->u.t.n_field++].v = v_take;
}

static struct val_field *find(const struct val *t, const char *name) {
    if (!t || t->type != VAL_TABLE) return NULL;
    for (size_t i = 0; i < t->u.t.n_field; i++)
        if (strcmp(t->u.t.field[i].name, name) == 0) return &t->u.t.field[i];
    return NULL;
}

void val_set(struct val *t, const char *name, struct val *v_take) {
    struct val_field *f = find(t, name);
    if (!f) {
        val_append(t, name, v_take);
        return;
    }
    ASSERT_HONE(v_take);
    if (f->v != v_take) val_free(f->v);
    f->v = v_take;
}

void val_set_int(struct val *t, const char *name, int64_t i) { val_set(t, name, val_int(i)); }
void val_set_num(struct val *t, const char *name, double n) { val_set(t, name, val_num(n)); }
void val_set_str(struct val *t, const char *name, const char *s) { val_set(t, name, val_str(s)); }
void val_set_bool(struct val *t, const char *name, bool b) { val_set(t, name, val_bool(b)); }

void val_unset(struct val *t, const char *name) {
    struct val_field *f = find(t, name);
    if (!f) return;
    free(f->name);
    val_free(f->v);
    struct val_field *end = t->u.t.field + t->u.t.n_field;
    memmove(f, f + 1, (size_t)(end - f - 1) * sizeof *f);
    t->u.t.n_field--;
}

struct val *val_get(const struct val *t, const char *name) {
    const struct val_field *f = find(t, name);
    return f ? f->v : NULL;
}

struct val *val_at(const struct val *t, size_t i) {
    return i < val_len(t) ? t->u.t.item[i] : NULL;
}

size_t val_len(const struct val *t) { return t && t->type == VAL_TABLE ? t->u.t.n_item : 0; }

bool val_as_num(const struct val *v, double *out) {
    if (!v || !number(v)) return false;
    if (v->type == VAL_NUM) {
        *out = v->u.n;
        return true;
    }
    double d = (double)v->u.i;
    if (d >= 0x1p63 || (int64_t)d != v->u.i) return false;
    *out = d;
    return true;
}

bool val_as_int(const struct val *v, int64_t *out) {
    if (!v || !number(v)) return false;
    if (v->type == VAL_INT) {
        *out = v->u.i;
        return true;
    }
    if (!(v->u.n >= -0x1p63 && v->u.n < 0x1p63) || v->u.n != floor(v->u.n)) return false;
    *out = (int64_t)v->u.n;
    return true;
}

double val_get_num(const struct val *t, const char *name, double def) {
    double d;
    return val_as_num(val_get(t, name), &d) ? d : def;
}

int64_t val_get_int(const struct val *t, const char *name, int64_t def) {
    int64_t i;
    return val_as_int(val_get(t, name), &i) ? i : def;
}

bool val_get_bool(const struct val *t, const char *name, bool def) {
    const struct val *v = val_get(t, name);
    return v && v->type == VAL_BOOL ? v->u.b : def;
}

const char *val_get_str(const struct val *t, const char *name, const char *def) {
    const struct val *v = val_get(t, name);
    return v && v->type == VAL_STR ? v->u.s.p : def;
}

static const char *const type_names[] = {"nil", "boolean", "number", "number", "string", "table", "handle"}; /* ORDER enum val_type */
const char *const handle_names[HANDLE_KINDS] = {"handle", "model", "data", "part", "run", "job"};
const char *const handle_parts[3] = {"train", "val", "test"};

const char *val_type_name(const struct val *v) {
    if (!v) return "nothing";
    if (v->type == VAL_HANDLE) return v->u.h.kind < HANDLE_KINDS ? handle_names[v->u.h.kind] : "handle";
    return type_names[v->type];
}

bool handle_parse(const char *text, struct handle *out) {
    struct handle h = {0, 0, HANDLE_NONE, 0};
    const char *hash = strchr(text, '#');
    if (!hash) return false;
    for (uint32_t k = 1; k < HANDLE_KINDS; k++)
        if (strlen(handle_names[k]) == (size_t)(hash - text) && strncmp(text, handle_names[k], (size_t)(hash - text)) == 0) h.kind = k;
    if (h.kind == HANDLE_NONE || hash[1] < '1' || hash[1] > '9') return false;
    char *end;
    unsigned long id = strtoul(hash + 1, &end, 10);
    if (id > UINT32_MAX) return false;
    h.id = (uint32_t)id;
    if (*end == '.' && (h.kind == HANDLE_DATA || h.kind == HANDLE_PART)) {
        h.kind = HANDLE_PART;
        while (h.sub < 3 && strcmp(end + 1, handle_parts[h.sub]) != 0) h.sub++;
        if (h.sub == 3) return false;
    } else if (*end) return false;
    *out = h;
    return true;
}

void handle_text(struct handle h, char out[48]) {
    if (h.kind == HANDLE_PART && h.sub < 3) snprintf(out, 48, "data#%u.%s", h.id, handle_parts[h.sub]);
    else snprintf(out, 48, "%s#%u", h.kind < HANDLE_KINDS ? handle_names[h.kind] : "handle", h.id);
}
