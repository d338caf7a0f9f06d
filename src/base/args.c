/* Typed argument tables: from value trees to structs and back, with sentences for everything that does not fit.
 * Texts (nearest name, words to values, help) are in args_text.c. No state, any thread. */
#include "config.h"

#include "src/base/args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"

#define ARGS_MAX 64

static const struct arg no_args[1];

static const struct arg *args_of(const struct kind *k) { return k->args ? k->args : no_args; }

static void *slot(const struct arg *a, const void *s) { return (char *)(uintptr_t)s + a->offset; }

const struct arg *args_find(const struct kind *k, const char *name) {
    for (const struct arg *a = args_of(k); a->name; a++)
        if (strcmp(a->name, name) == 0) return a;
    return NULL;
}

bool args_required(const struct kind *k) {
    for (const struct arg *a = args_of(k); a->name; a++)
        if (a->flags & ARG_REQUIRED) return true;
    return false;
}

static void set_absent(const struct arg *a, void *s) {
    void *p = slot(a, s);
    switch (a->type) {
    case ARG_INT: *(int64_t *)p = ARG_NONE_INT; break;
    case ARG_NUM: *(double *)p = NAN; break;
    case ARG_BOOL: *(bool *)p = false; break;
    case ARG_STR:
    case ARG_PATH: *(char **)p = NULL; break;
    case ARG_ENUM: *(int *)p = -1; break;
    case ARG_SHAPE: *(struct arg_shape *)p = (struct arg_shape){0}; break;
    case ARG_HANDLE: *(struct handle *)p = (struct handle){0}; break;
    case ARG_TABLE:
    case ARG_VAL: *(struct val **)p = NULL; break;
    }
}

static void release_one(const struct arg *a, void *s) {
    void *p = slot(a, s);
    if (a->type == ARG_STR || a->type == ARG_PATH) free(*(char **)p);
    if (a->type == ARG_TABLE || a->type == ARG_VAL) val_free(*(struct val **)p);
    set_absent(a, s);
}

void args_release(const struct kind *k, void *out) {
    for (const struct arg *a = args_of(k); a->name; a++) release_one(a, out);
}

/* ---- one value into one argument ---- */

static bool ranged(const struct arg *a) { return a->lo != 0 || a->hi != 0; }

static bool in_range(const struct arg *a, double d) { return !ranged(a) || (d >= a->lo && d <= a->hi); }

/* "a whole number from 1 to 100" */
void args_allowed(struct buf *b, const struct arg *a) {
    static const char *const what[] = {"a whole number", "a number", "true or false", "a string", "a path", "one of ", "a number or a list of whole numbers",
        "a handle", "a table", "a value"}; /* ORDER enum arg_type */
    buf_adds(b, what[a->type]);
    if (a->type == ARG_ENUM)
        for (int i = 0; a->names[i]; i++) buf_addf(b, "%s%s", i == 0 ? "" : a->names[i + 1] ? ", " : " or ", a->names[i]);
    if (!ranged(a) || (a->type != ARG_INT && a->type != ARG_NUM && a->type != ARG_SHAPE)) return;
    bool whole = a->type != ARG_NUM;
    int digits = whole ? 16 : 6; /* those of 2^53 */
    if (isinf(a->hi) || (whole && a->hi >= 0x1p62)) buf_addf(b, " of at least %.*g", digits, a->lo);
    else if (isinf(a->lo)) buf_addf(b, " of at most %.*g", digits, a->hi);
    else buf_addf(b, " from %.*g to %.*g", digits, a->lo, digits, a->hi);
}

static void show_value(struct buf *b, const struct val *v) {
    int64_t i;
    if (val_as_int(v, &i)) buf_addf(b, "%lld", (long long)i);
    else if (v->type == VAL_NUM) buf_addnum(b, v->u.n);
    else if (v->type == VAL_BOOL) buf_adds(b, v->u.b ? "true" : "false");
    else if (v->type == VAL_STR) {
        buf_addc(b, '\'');
        utf8_show(b, v->u.s.p, v->u.s.len, 60, UTF8_FULL);
        buf_addc(b, '\'');
    } else if (v->type == VAL_NIL) buf_adds(b, "nil");
    else buf_addf(b, "a %s", val_type_name(v));
}

static int refuse(const struct kind *k, const struct arg *a, int position, const struct val *v, struct err *e) {
    struct buf b = BUF_INIT;
    const char *near = NULL;
    if (position) buf_addf(&b, "argument %d ('%s')", position, a->name);
    else buf_adds(&b, a->name);
    buf_adds(&b, " must be ");
    args_allowed(&b, a);
    buf_adds(&b, ", not ");
    show_value(&b, v);
    if (a->type == ARG_ENUM && v->type == VAL_STR) {
        size_t n = 0;
        while (a->names[n]) n++;
        near = args_nearest(v->u.s.p, a->names, n);
    }
    if (near) buf_addf(&b, "; did you mean '%s'?", near);
    err_code(e, ERR_USAGE, "%s: %s", k->name, b.data);
    buf_release(&b);
    return -1;
}

static char *as_text(const struct val *v) { /* what a user who typed 42 for a string means */
    struct buf b = BUF_INIT;
    if (v->type == VAL_STR) return memchr(v->u.s.p, 0, v->u.s.len) ? NULL : mem_str(v->u.s.p);
    if (v->type == VAL_TABLE || v->type == VAL_NIL || v->type == VAL_HANDLE) return NULL;
    show_value(&b, v);
    return buf_take(&b);
}

static bool as_bool(const struct val *v, bool *out) {
    static const char *const yes[] = {"true", "on", "yes"}, *const no[] = {"false", "off", "no"};
    if (v->type == VAL_BOOL) {
        *out = v->u.b;
        return true;
    }
    for (size_t i = 0; v->type == VAL_STR && i < LEN(yes); i++) {
        if (strcmp(v->u.s.p, yes[i]) == 0 || strcmp(v->u.s.p, no[i]) == 0) {
            *out = strcmp(v->u.s.p, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool as_enum(const struct arg *a, const struct val *v, int *out) {
    char *text = as_text(v);
    bool found = false;
    for (int i = 0; text && !found && a->names[i]; i++)
        if ((found = strcmp(a->names[i], text) == 0)) *out = i;
    free(text);
    return found;
}

static bool as_shape(const struct arg *a, const struct val *v, struct arg_shape *out) {
    struct arg_shape s = {0};
    size_t n = v->type == VAL_TABLE ? v->u.t.n_item : 1;
    if (n > ARG_SHAPE_MAX || n == 0 || (v->type == VAL_TABLE && v->u.t.n_field)) return false;
    for (size_t i = 0; i < n; i++) {
        const struct val *x = v->type == VAL_TABLE ? v->u.t.item[i] : v;
        if (!val_as_int(x, &s.d[i]) || !in_range(a, (double)s.d[i])) return false;
    }
    s.n = (int)n;
    *out = s;
    return true;
}

static bool as_handle(const struct val *v, struct handle *out) {
    if (v->type == VAL_HANDLE) *out = v->u.h;
    return v->type == VAL_HANDLE || (v->type == VAL_STR && handle_parse(v->u.s.p, out));
}

/* Stores v; what was there is released only when v fits. False: it does not. */
static bool store(const struct arg *a, void *s, const struct val *v) {
    void *p = slot(a, s);
    int64_t i;
    double d;
    char *text;
    switch (a->type) {
    case ARG_INT:
        if (!val_as_int(v, &i) || i == ARG_NONE_INT || !in_range(a, (double)i)) return false;
        *(int64_t *)p = i;
        return true;
    case ARG_NUM:
        if (v->type == VAL_INT) d = (double)v->u.i;
        else if (!val_as_num(v, &d)) return false;
        if (!isfinite(d) || !in_range(a, d)) return false;
        *(double *)p = d;
        return true;
    case ARG_BOOL: return as_bool(v, p);
    case ARG_STR:
    case ARG_PATH:
        if (!(text = as_text(v))) return false;
        free(*(char **)p);
        *(char **)p = text;
        return true;
    case ARG_ENUM: return as_enum(a, v, p);
    case ARG_SHAPE: return as_shape(a, v, p);
    case ARG_HANDLE: return as_handle(v, p);
    case ARG_TABLE:
        if (v->type != VAL_TABLE) return false;
        break;
    case ARG_VAL: break;
    }
    struct val *copy = val_copy(v);
    val_free(*(struct val **)p);
    *(struct val **)p = copy;
    return true;
}

static void set_default(const struct kind *k, const struct arg *a, void *s) {
    set_absent(a, s);
    if (!a->def) return;
    bool text = a->type == ARG_STR || a->type == ARG_PATH || a->type == ARG_ENUM;
    struct val *v = text ? val_str(a->def) : args_text(a->def);
    if (!store(a, s, v)) BUG("the default '%s' of %s in %s does not fit", a->def, a->name, k->name);
    val_free(v);
}

/* ---- a table into a struct ---- */

/* Which value of the table goes to which argument. */
struct binding {
    const struct val *v[ARGS_MAX];
    int position[ARGS_MAX]; /* 1-based, 0: given by name */
    struct val *rest; /* what a REST argument takes: owned */
    int n;
};

static int bind_rest(struct binding *b, int at, const struct kind *k, const struct val *t, size_t i, struct err *e) {
    b->rest = val_list();
    for (size_t first = i; i < t->u.t.n_item; i++) {
        if (t->u.t.item[i]->type == VAL_NIL)
            return err_code(e, ERR_USAGE, "%s: item %zu of the list is nil; a list of %zu items has a hole there", k->name, i + 1, t->u.t.n_item);
        val_push(b->rest, val_copy(t->u.t.item[i]));
        b->position[at] = (int)first + 1;
    }
    b->v[at] = b->rest;
    return 0;
}

static int too_many(const struct kind *k, const struct val *t, size_t i, struct err *e) {
    struct buf b = BUF_INIT;
    int n = 0;
    buf_addf(&b, "%s: argument %zu (", k->name, i + 1);
    show_value(&b, t->u.t.item[i]);
    buf_adds(&b, ") is one too many; ");
    for (const struct arg *a = args_of(k); a->name; a++)
        if (a->flags & ARG_POSITIONAL) buf_addf(&b, "%s%s", n++ ? ", " : "without a name it takes ", a->name);
    if (n == 0) buf_adds(&b, args_of(k)->name ? "all its arguments are given by name" : "it takes none");
    err_code(e, ERR_USAGE, "%s", b.data);
    buf_release(&b);
    return -1;
}

static int bind_items(struct binding *b, const struct kind *k, const struct val *t, struct err *e) {
    const struct arg *args = args_of(k), *a = args;
    size_t n = val_len(t), i = 0;
    struct handle h;
    /* a method's handle may be left out: the first item then belongs to the next argument */
    bool skip = n > 0 && a->name && a->type == ARG_HANDLE && !(a->flags & ARG_REQUIRED) && t->u.t.item[0]->type != VAL_NIL && !as_handle(t->u.t.item[0], &h);
    for (; i < n; i++, a++) {
        while (a->name && (!(a->flags & ARG_POSITIONAL) || (skip && a == args))) a++;
        if (!a->name) return too_many(k, t, i, e);
        if (a->flags & ARG_REST) return bind_rest(b, (int)(a - args), k, t, i, e);
        if (t->u.t.item[i]->type == VAL_NIL) return refuse(k, a, (int)i + 1, t->u.t.item[i], e);
        b->v[a - args] = t->u.t.item[i];
        b->position[a - args] = (int)i + 1;
    }
    return 0;
}

static int unknown(const struct kind *k, const char *name, struct err *e) {
    const char *names[ARGS_MAX] = {NULL};
    size_t n = 0;
    struct buf shown = BUF_INIT, list = BUF_INIT;
    for (const struct arg *a = args_of(k); a->name && n < ARGS_MAX; a++) names[n++] = a->name;
    const char *near = args_nearest(name, names, n);
    utf8_show(&shown, name, strlen(name), 60, UTF8_FULL);
    for (size_t i = 0; i < n; i++) buf_addf(&list, "%s%s", i ? ", " : "it takes ", names[i]);
    if (n == 0) buf_adds(&list, "it takes none");
    if (near) err_code(e, ERR_USAGE, "%s: unknown argument '%s', did you mean '%s'?", k->name, shown.data, near);
    else err_code(e, ERR_USAGE, "%s: unknown argument '%s'; %s", k->name, shown.data, list.data);
    buf_release(&shown);
    buf_release(&list);
    return -1;
}

static int bind_fields(struct binding *b, const struct kind *k, const struct val *t, struct err *e) {
    for (size_t i = 0; t && i < t->u.t.n_field; i++) {
        const struct val_field *f = &t->u.t.field[i];
        const struct arg *a = args_find(k, f->name);
        if (!a) return unknown(k, f->name, e);
        if (f->v->type == VAL_NIL) continue; /* name=nil is the same as leaving it out */
        size_t at = (size_t)(a - args_of(k));
        if (b->v[at]) return err_code(e, ERR_USAGE, "%s: '%s' is given twice, as argument %d and by its name", k->name, a->name, b->position[at]);
        b->v[at] = f->v;
    }
    return 0;
}

void args_number(struct val *t) {
    char name[24] = "1";
    if (t->u.t.n_item) return;
    for (int i = 1; val_get(t, name); snprintf(name, sizeof name, "%d", ++i)) {
        val_push(t, val_copy(val_get(t, name)));
        val_unset(t, name);
    }
}

static int bind_all(struct binding *b, const struct kind *k, const struct val *t, struct err *e) {
    *b = (struct binding){0};
    for (const struct arg *a = args_of(k); a->name; a++) b->n++;
    if (b->n > ARGS_MAX) BUG("%s has more than %d arguments", k->name, ARGS_MAX);
    if (!t || t->type == VAL_NIL) return 0;
    if (t->type != VAL_TABLE) return err_code(e, ERR_USAGE, "%s: its arguments must be a table, not a %s", k->name, val_type_name(t));
    return bind_items(b, k, t, e) != 0 ? -1 : bind_fields(b, k, t, e);
}

/* given: NULL, or receives a flag per argument that the table named. */
static int parse(const struct kind *k, const struct val *table, void *out, bool *given, struct err *e) {
    struct binding b;
    struct val *flat = table && table->type == VAL_TABLE && !table->u.t.n_item && val_get(table, "1") ? val_copy(table) : NULL;
    const struct arg *args = args_of(k);
    if (flat) args_number(flat);
    int rc = bind_all(&b, k, flat ? flat : table, e), done = 0;
    for (; rc == 0 && done < b.n; done++) {
        const struct arg *a = &args[done];
        set_default(k, a, out);
        if (given) given[done] = b.v[done] != NULL;
        if (b.v[done] && !store(a, out, b.v[done])) rc = refuse(k, a, a->flags & ARG_REST ? 0 : b.position[done], b.v[done], e);
        else if (!b.v[done] && (a->flags & ARG_REQUIRED)) rc = err_code(e, ERR_USAGE, "%s: '%s' is missing: %s", k->name, a->name, a->help);
    }
    if (rc != 0)
        for (int i = 0; i < done; i++) release_one(&args[i], out);
    val_free(b.rest);
    val_free(flat);
    return rc;
}

int args_parse(const struct kind *k, const struct val *table, void *out, struct err *e) { return parse(k, table, out, NULL, e); }

struct val *args_normalise(const struct kind *k, const struct val *table, struct err *e) {
    bool given[ARGS_MAX] = {false};
    void *s = mem_new(1, k->size ? k->size : 1);
    struct val *t = NULL;
    if (parse(k, table, s, given, e) == 0) {
        t = val_table();
        for (const struct arg *a = args_of(k); a->name; a++) {
            struct val *v = given[a - args_of(k)] ? args_get(k, s, a->name) : NULL;
            if (v) val_append(t, a->name, v);
        }
        args_release(k, s);
    }
    free(s);
    return t;
}

int args_set(const struct kind *k, void *out, const char *name, const struct val *v, struct err *e) {
    const struct arg *a = args_find(k, name);
    if (!a) return unknown(k, name, e);
    if (v->type == VAL_NIL) {
        if (a->flags & ARG_REQUIRED) return refuse(k, a, 0, v, e);
        release_one(a, out);
        set_default(k, a, out);
        return 0;
    }
    return store(a, out, v) ? 0 : refuse(k, a, 0, v, e);
}

/* ---- back to values ---- */

static struct val *get(const struct arg *a, const void *in) { /* NULL: absent */
    const void *p = slot(a, in);
    switch (a->type) {
    case ARG_INT: return *(const int64_t *)p == ARG_NONE_INT ? NULL : val_int(*(const int64_t *)p);
    case ARG_NUM: return isnan(*(const double *)p) ? NULL : val_num(*(const double *)p);
    case ARG_BOOL: return val_bool(*(const bool *)p);
    case ARG_STR:
    case ARG_PATH: return *(char *const *)p ? val_str(*(char *const *)p) : NULL;
    case ARG_ENUM: return *(const int *)p < 0 ? NULL : val_str(a->names[*(const int *)p]);
    case ARG_SHAPE: {
        const struct arg_shape *s = p;
        if (s->n == 0) return NULL;
        if (s->n == 1) return val_int(s->d[0]);
        struct val *t = val_list();
        for (int i = 0; i < s->n; i++) val_push(t, val_int(s->d[i]));
        return t;
    }
    case ARG_HANDLE: return ((const struct handle *)p)->id ? val_handle(*(const struct handle *)p) : NULL;
    case ARG_TABLE:
    case ARG_VAL: return val_copy(*(struct val *const *)p);
    }
    return NULL;
}

struct val *args_get(const struct kind *k, const void *in, const char *name) {
    const struct arg *a = args_find(k, name);
    if (!a) return NULL;
    struct val *v = get(a, in);
    return v ? v : val_nil();
}

struct val *args_to_val(const struct kind *k, const void *in) {
    struct val *t = val_table();
    for (const struct arg *a = args_of(k); a->name; a++) {
        struct val *v = get(a, in);
        bool plain_no = v && a->type == ARG_BOOL && !v->u.b && (!a->def || strcmp(a->def, "true") != 0);
        if (v && !plain_no) val_append(t, a->name, v);
        else val_free(v);
    }
    return t;
}
