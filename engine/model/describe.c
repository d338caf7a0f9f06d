/* From what a user wrote to the normalised description: inputs from the data set or the `input` argument, every layer with its arguments in table order, a name
 * of its own, checked `from` and `share`. No graph is built here. Any thread. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/model.h"
#include "src/base/mem.h"

static const char *const reserved[] = {"layer", "name", "from", "share", "store"};
static const char *const model_fields[] = {"input", "name", "classes", "n_class", "layers", "prep", "seed", "data", "sequence"};

static bool is_reserved(const char *s) {
    for (size_t i = 0; i < LEN(reserved); i++)
        if (strcmp(s, reserved[i]) == 0) return true;
    return false;
}

/* The arguments of a layer value: its table without the reserved fields. */
static struct val *layer_args(const struct val *v) {
    struct val *t = val_table();
    for (size_t i = 0; i < v->u.t.n_item; i++) val_push(t, v->u.t.item[i] ? val_copy(v->u.t.item[i]) : val_nil());
    for (size_t i = 0; i < v->u.t.n_field; i++)
        if (!is_reserved(v->u.t.field[i].name)) val_set(t, v->u.t.field[i].name, val_copy(v->u.t.field[i].v));
    return t;
}

static int name_ok(const char *s, const char *where, struct err *e) {
    size_t n = strlen(s);
    bool ok = n > 0 && n <= 40 && strcmp(s, "input") != 0;
    for (size_t i = 0; i < n; i++) ok = ok && (isalnum((unsigned char)s[i]) || s[i] == '_' || s[i] == '-');
    if (!ok) return err_code(e, ERR_USAGE, "%s: a layer name is 1 to 40 letters, digits, _ or - and not \"input\": got \"%s\"", where, s);
    return 0;
}

/* Names of one list of layers, for `from`, `share` and uniqueness. */
struct names {
    const char *name[1024];
    size_t n;
};
static bool known(const struct names *k, const char *s) {
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->name[i], s) == 0) return true;
    return false;
}

static int check_from(const struct names *k, const char *from, const char *where, struct err *e) {
    if (strcmp(from, "input") == 0 || known(k, from)) return 0;
    const char *near = args_nearest(from, k->name, k->n);
    if (near) return err_code(e, ERR_USAGE, "%s: there is no earlier layer or input \"%s\": did you mean \"%s\"?", where, from, near);
    return err_code(e, ERR_USAGE, "%s: there is no earlier layer or input \"%s\"", where, from);
}

static struct val *describe_list(const struct val *user, const struct names *outer, const char *where, int depth, struct err *e);

/* `from` as a list of names, checked; NULL: none or error. */
static int describe_from(const struct val *v, const struct names *k, struct val *out, const char *where, struct err *e) {
    const struct val *from = val_get(v, "from");
    if (!from || from->type == VAL_NIL) return 0;
    struct val *list = val_list();
    if (from->type == VAL_STR) val_push(list, val_copy(from));
    for (size_t i = 0; i < val_len(from); i++) val_push(list, val_copy(val_at(from, i)));
    int rc = val_len(list) ? 0 : err_code(e, ERR_USAGE, "%s: from is the name of a layer or a list of names", where);
    for (size_t i = 0; rc == 0 && i < val_len(list); i++) {
        const struct val *s = val_at(list, i);
        rc = s->type == VAL_STR ? check_from(k, s->u.s.p, where, e)
                                : err_code(e, ERR_USAGE, "%s: from holds a %s, it takes names of layers", where, val_type_name(s));
    }
    if (rc == 0) val_set(out, "from", list);
    else val_free(list);
    return rc;
}

/* kind and checked arguments of one layer as fields in table order. */
static struct val *describe_args(const struct val *v, const struct layer *l, const struct names *k, const char *where, int depth, struct err *e) {
    struct val *args = layer_args(v), *out = NULL;
    void *p = l->kind.size ? mem_new(1, l->kind.size) : NULL;
    if (!l->kind.size) {
        if (val_len(args) || args->u.t.n_field) err_code(e, ERR_USAGE, "%s: %s takes no arguments", where, l->kind.name);
        else out = val_table();
    } else if (args_parse(&l->kind, args, p, e) < 0) err_wrap(e, "%s", where);
    else {
        out = args_to_val(&l->kind, p);
        args_release(&l->kind, p);
        const struct val *inner = val_get(out, "layers");
        if (inner) {
            struct val *list = describe_list(inner, k, where, depth + 1, e);
            if (list) val_set(out, "layers", list);
            else val_free(out), out = NULL;
        }
    }
    free(p);
    val_free(args);
    if (!out) return NULL;
    struct val *head = val_table();
    val_set_str(head, "layer", l->kind.name);
    for (size_t i = 0; i < out->u.t.n_field; i++) val_set(head, out->u.t.field[i].name, val_copy(out->u.t.field[i].v));
    val_free(out);
    return head;
}

static const struct layer *find_layer(const struct val *v, const char *where, struct err *e) {
    const char *kind = val_get_str(v, "layer", NULL);
    const struct layer *l = kind ? layer_find(kind) : NULL;
    if (l) return l;
    if (!kind) {
        err_code(e, ERR_USAGE, "%s is not a layer: write nn.linear{ 10 } or { layer=\"linear\", out=10 }", where);
        return NULL;
    }
    const char *names[192];
    size_t n = 0;
    for (const struct kind *const *k = layer_kinds(); *k && n < LEN(names); k++) names[n++] = (*k)->name;
    const char *near = args_nearest(kind, names, n);
    err_code(e, ERR_USAGE, "%s: there is no layer \"%.60s\"%s%s%s", where, kind, near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return NULL;
}

/* name: the user's, or kind and a number. */
static int describe_name(const struct val *v, const char *kind, const struct names *k, struct val *out, const char *where, struct err *e) {
    const char *name = val_get_str(v, "name", NULL);
    char own[96];
    if (name && name_ok(name, where, e) < 0) return -1;
    if (name && known(k, name)) return err_code(e, ERR_USAGE, "%s: the name \"%s\" is taken by an earlier layer or input", where, name);
    for (int i = 1; !name; i++) {
        snprintf(own, sizeof own, "%s%d", kind, i);
        if (!known(k, own)) name = own;
    }
    val_set_str(out, "name", name);
    return 0;
}

/* How parameters are held, {["up.weight"] = "i8"}; that they are the layer's own shows when it is built. */
static int describe_store(const struct val *v, struct val *out, const char *where, struct err *e) {
    const struct val *s = val_get(v, "store");
    if (!s || s->type == VAL_NIL) return 0;
    if (s->type != VAL_TABLE || val_len(s)) return err_code(e, ERR_USAGE, "%s: store says how parameters are held, as { [\"weight\"] = \"i8\" }", where);
    for (size_t i = 0; i < s->u.t.n_field; i++) {
        const struct val *how = s->u.t.field[i].v;
        const char *t = how->type == VAL_STR ? how->u.s.p : "";
        if (strcmp(t, "i8") != 0 && strcmp(t, "f16") != 0 && strcmp(t, "bf16") != 0)
            return err_code(e, ERR_USAGE, "%s: store of %.60s is \"i8\", \"f16\" or \"bf16\", not \"%.40s\"", where, s->u.t.field[i].name,
                how->type == VAL_STR ? t : val_type_name(how));
    }
    if (s->u.t.n_field) val_set(out, "store", val_copy(s));
    return 0;
}

static struct val *describe_layer(const struct val *v, const struct names *k, const struct val *list, const char *where, int depth, struct err *e) {
    const struct layer *l = v && v->type == VAL_TABLE ? find_layer(v, where, e) : NULL;
    if (v && v->type != VAL_TABLE) err_code(e, ERR_USAGE, "%s is a %s, not a layer: write nn.linear{ 10 }", where, val_type_name(v));
    struct val *out = l ? describe_args(v, l, k, where, depth, e) : NULL;
    if (!out) return NULL;
    const char *share = val_get_str(v, "share", NULL);
    if (describe_name(v, l->kind.name, k, out, where, e) < 0 || describe_from(v, k, out, where, e) < 0 || describe_store(v, out, where, e) < 0) goto bad;
    if (share) {
        const struct val *of = NULL;
        for (size_t i = 0; i < val_len(list); i++)
            if (strcmp(val_get_str(val_at(list, i), "name", ""), share) == 0) of = val_at(list, i);
        if (!of) {
            err_code(e, ERR_USAGE, "%s: there is no earlier layer \"%s\" beside it to share weights with", where, share);
            goto bad;
        }
        if (strcmp(val_get_str(of, "layer", ""), l->kind.name) != 0) {
            err_code(e, ERR_USAGE, "%s: a %s cannot share the weights of \"%s\", which is a %s", where, l->kind.name, share, val_get_str(of, "layer", ""));
            goto bad;
        }
        val_set_str(out, "share", share);
    }
    return out;
bad:
    val_free(out);
    return NULL;
}

static struct val *describe_list(const struct val *user, const struct names *outer, const char *where, int depth, struct err *e) {
    struct names *k = X_NEW(struct names, 1);
    struct val *list = val_list();
    if (depth == 0) *k = *outer;
    for (size_t i = 0; i < val_len(user); i++) {
        char at[256];
        const struct val *v = val_at(user, i);
        snprintf(at, sizeof at, "%s%slayer %zu", where, *where ? ", " : "", i + 1);
        struct val *l = NULL;
        if (!v || v->type == VAL_NIL) err_code(e, ERR_USAGE, "%s is missing: item %zu of the list is nil", at, i + 1);
        else if (depth > 16) err_code(e, ERR_USAGE, "%s: layers are nested more than 16 deep", at);
        else if (k->n + 1 >= LEN(k->name)) err_code(e, ERR_USAGE, "%s: a list holds at most %zu layers", at, LEN(k->name) - 8);
        else l = describe_layer(v, k, list, at, depth, e);
        if (!l) {
            val_free(list);
            free(k);
            return NULL;
        }
        val_push(list, l);
        k->name[k->n++] = val_get_str(l, "name", "");
    }
    free(k);
    if (!val_len(list)) {
        err_code(e, ERR_USAGE, "%s%sthere are no layers: write nn.model{ input=data, nn.linear{ 10 } }", where, *where ? ": " : "");
        val_free(list);
        return NULL;
    }
    return list;
}

/* One input from {4}, 784, {shape={1,28,28}}, {ids=10000, len=128}. */
static struct val *describe_input(const struct val *u, size_t index, struct err *e) {
    struct val *out = val_table(), *shape = val_list();
    char name[16];
    int64_t n, total = 1, ids = val_get_int(u, "ids", 0), len = val_get_int(u, "len", 0);
    const struct val *s = val_get(u, "shape") ? val_get(u, "shape") : u;
    snprintf(name, sizeof name, index ? "x%zu" : "x", index + 1);
    val_set_str(out, "name", val_get_str(u, "name", name));
    bool ok = ids >= 0 && ids <= 1 << 28 && len >= 0 && len <= 1 << 24 && name_ok(val_get_str(out, "name", ""), "input", e) == 0;
    if (ids > 0) {
        val_set_int(out, "ids", ids);
        val_set_bool(out, "ragged", val_get_bool(u, "ragged", true));
        if (len > 0) val_set_int(out, "len", len);
        if (val_get_bool(u, "weighted", false)) val_set_bool(out, "weighted", true);
    } else if (val_as_int(s, &n)) {
        val_push(shape, val_int(n));
        ok = ok && n >= 1 && n <= 1 << 28;
    } else {
        ok = ok && val_len(s) >= 1 && val_len(s) < TENSOR_DIMS;
        for (size_t i = 0; i < val_len(s); i++) {
            ok = ok && val_as_int(val_at(s, i), &n) && n >= 1 && n <= 1 << 28 && (total *= n) <= 1 << 28;
            if (ok) val_push(shape, val_int(n));
        }
    }
    if (ids > 0) val_free(shape);
    else val_set(out, "shape", shape);
    if (ok) return out;
    if (e && !e->code)
        err_code(e, ERR_USAGE, "input %zu: give a data set, a size (784), a shape ({1, 28, 28}) or { ids=10000, len=128 }, extents from 1 to 2^28", index + 1);
    val_free(out);
    return NULL;
}

static struct val *input_of_column(const struct dataset *d, const struct column *c, struct err *e) {
    struct val *out = val_table(), *shape = val_list();
    val_set_str(out, "name", c->name && *c->name && name_ok(c->name, "", NULL) == 0 ? c->name : "x");
    switch (c->type) {
    case COL_TOKENS:
    case COL_I32:
        val_set_int(out, "ids", c->max_id);
        val_set_bool(out, "ragged", c->type == COL_TOKENS);
        if (d->len > 0 && c->type == COL_TOKENS) val_set_int(out, "len", d->len);
        if (c->weight) val_set_bool(out, "weighted", true);
        val_free(shape);
        return out;
    case COL_U8:
    case COL_F32:
        for (int i = 0; i < c->ndim; i++) val_push(shape, val_int(c->dim[i]));
        if (c->ndim == 0) val_push(shape, val_int(1));
        val_set(out, "shape", shape);
        return out;
    default:
        err_set(e, "the column \"%s\" of %s is plain text: load the data with text=\"%s\", so that it becomes tokens", c->name ? c->name : "?",
            d->name ? d->name : "the data", c->name ? c->name : "?");
        val_free(shape);
        val_free(out);
        return NULL;
    }
}

static struct val *describe_inputs(const struct val *user, const struct dataset *d, struct err *e) {
    struct val *list = val_list(), *one = NULL;
    const struct val *in = val_get(user, "input");
    if (d) {
        const struct part *p = NULL;
        for (int i = 0; i < PART_N && !p; i++)
            if (d->part[i].n > 0) p = &d->part[i];
        for (int i = 0; p && i < d->n_input && i < p->n_col; i++) {
            if (!(one = input_of_column(d, &p->col[i], e))) goto bad;
            val_push(list, one);
        }
    } else if (in && (in->type == VAL_INT || in->type == VAL_NUM || (val_len(in) && val_at(in, 0) && val_at(in, 0)->type != VAL_TABLE) || val_get(in, "ids") ||
                         val_get(in, "shape"))) {
        if (!(one = describe_input(in, 0, e))) goto bad;
        val_push(list, one);
    } else
        for (size_t i = 0; i < val_len(in); i++) {
            if (!(one = describe_input(val_at(in, i), i, e))) goto bad;
            val_push(list, one);
        }
    if (val_len(list) >= 1 && val_len(list) <= MODEL_INPUTS) return list;
    err_code(e, ERR_USAGE, "a model has 1 to %d inputs, here are %zu: give input=data, input=784, input={1, 28, 28} or input={ ids=10000, len=128 }",
        MODEL_INPUTS, val_len(list));
bad:
    val_free(list);
    return NULL;
}

/* A second column of the same name gets a number. */
static void unique_inputs(struct val *list, struct names *k) {
    for (size_t i = 0; i < val_len(list); i++) {
        char own[96];
        if (known(k, val_get_str(val_at(list, i), "name", ""))) {
            snprintf(own, sizeof own, "x%zu", i + 1);
            val_set_str(val_at(list, i), "name", own);
        }
        k->name[k->n++] = val_get_str(val_at(list, i), "name", "");
    }
}

static void describe_classes(const struct val *user, const struct dataset *d, struct val *out) {
    const struct val *c = val_get(user, "classes"), *prep = val_get(user, "prep");
    struct val *list = val_list();
    int64_t n = 0;
    if (val_as_int(c, &n) && n > 0) val_set_int(out, "n_class", n);
    for (size_t i = 0; i < val_len(c); i++)
        if (val_at(c, i)->type == VAL_STR) val_push(list, val_copy(val_at(c, i)));
    if (!c && d && d->class_name)
        for (int i = 0; i < d->n_class; i++) val_push(list, val_str(d->class_name[i] ? d->class_name[i] : ""));
    if (val_len(list)) val_set(out, "classes", list);
    else {
        val_free(list);
        if (!c && d && d->n_class > 0) val_set_int(out, "n_class", d->n_class);
    }
    if (val_get_bool(user, "sequence", d && d->longest > 0)) val_set_bool(out, "sequence", true);
    if (prep) val_set(out, "prep", val_copy(prep));
    else if (d && d->prep) val_set(out, "prep", val_copy(d->prep));
}

void model_name_classes(struct model *m, const struct dataset *d) {
    int64_t n = val_get_int(m->desc, "n_class", 0);
    if (val_get(m->desc, "classes") || !d->class_name || d->n_class < 1 || (n && n != d->n_class) || model_outputs(m, NULL) != d->n_class) return;
    struct val *list = val_list();
    for (int i = 0; i < d->n_class; i++) val_push(list, val_str(d->class_name[i] ? d->class_name[i] : ""));
    val_unset(m->desc, "n_class");
    val_set(m->desc, "classes", list);
}

static void positions_of(const struct val *list, int64_t *least) {
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *l = val_at(list, i), *inner = val_get(l, "layers");
        int64_t n = val_get_int(l, "positions", 0) - val_get_int(l, "start", 0);
        if (val_get_int(l, "positions", 0) > 0 && (*least == 0 || n < *least)) *least = n;
        if (inner) positions_of(inner, least);
    }
}

int64_t model_positions(const struct model *m) {
    int64_t least = 0;
    positions_of(val_get(m->desc, "layers"), &least);
    return least;
}

struct val *model_describe(const struct val *user, const struct dataset *d, struct err *e) {
    if (!user || user->type != VAL_TABLE) {
        err_code(e, ERR_USAGE, "a model is a table of layers, got %s", user ? val_type_name(user) : "nothing");
        return NULL;
    }
    for (size_t i = 0; i < user->u.t.n_field; i++) {
        bool ok = false;
        for (size_t j = 0; j < LEN(model_fields); j++) ok |= strcmp(user->u.t.field[i].name, model_fields[j]) == 0;
        if (ok) continue;
        const char *near = args_nearest(user->u.t.field[i].name, model_fields, LEN(model_fields));
        err_code(e, ERR_USAGE, "a model has no argument \"%.60s\"%s%s%s", user->u.t.field[i].name, near ? ": did you mean \"" : "", near ? near : "",
            near ? "\"?" : "");
        return NULL;
    }
    struct names *k = X_NEW(struct names, 1);
    struct val *out = NULL, *input = describe_inputs(user, d, e), *stack = NULL;
    if (input) {
        unique_inputs(input, k);
        stack = describe_list(val_len(user) ? user : val_get(user, "layers"), k, "", 0, e);
    }
    if (stack) {
        out = val_table();
        val_set_str(out, "name", val_get_str(user, "name", "model"));
        val_set(out, "input", input);
        val_set(out, "layers", stack);
        describe_classes(user, d, out);
    } else val_free(input);
    free(k);
    return out;
}
