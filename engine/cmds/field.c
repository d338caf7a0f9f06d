/* What a handle shows of what it stands for: d.train, d.classes, #d.train, d.train[i]. Kinds are rows of a table at the end; the
 * command runs on the caller's thread, so rows only take references and read what is immutable. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/dataset.h"
#include "engine/cmds/objects.h"
#include "src/base/mem.h"
#include "src/call/call.h"

struct field_args {
    struct handle of;
    struct val *name;
};
static const struct arg args_table[] = {{"of", "the object", NULL, NULL, ARG_HANDLE, offsetof(struct field_args, of), ARG_POSITIONAL | ARG_REQUIRED},
    {"name", "a field's name, an index from 1, or \"#\" for the length", NULL, NULL, ARG_VAL, offsetof(struct field_args, name), ARG_POSITIONAL | ARG_REQUIRED},
    {NULL}};

static int no_field(const char *what, const char *name, const char *const *names, size_t n, struct err *e) {
    const char *near = args_nearest(name, names, n);
    char all[256] = "";
    for (size_t i = 0; i < n; i++) {
        strncat(all, i ? ", " : "", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    return err_code(
        e, ERR_USAGE, "a %s has no field \"%.60s\"%s%s%s; it has %s", what, name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "", all);
}

static struct val *classes(const struct dataset *d) {
    struct val *l = val_list();
    for (int i = 0; i < d->n_class; i++) val_push(l, val_str(d->class_name[i]));
    return l;
}

static struct val *data_field(const struct dataset *d, struct handle h, const char *name, struct err *e) {
    static const char *const names[] = {"train", "val", "test", "classes", "name", "path", "identity", "prep"};
    for (uint32_t p = 0; p < PART_N; p++)
        if (!strcmp(name, part_names[p])) return d->part[p].n ? val_handle((struct handle){h.id, h.gen, HANDLE_PART, p}) : val_nil();
    if (!strcmp(name, "classes")) return classes(d);
    if (!strcmp(name, "name")) return val_str(d->name);
    if (!strcmp(name, "path")) return val_str(d->path);
    if (!strcmp(name, "identity")) return val_copy(d->identity);
    if (!strcmp(name, "prep")) return val_copy(d->prep);
    if (!strcmp(name, "#")) err_code(e, ERR_USAGE, "a data set has no length of its own; ask for #d.train, #d.val or #d.test");
    else no_field("data set", name, names, LEN(names), e);
    return NULL;
}

/* Row i as people read it: the text or the numbers as the model sees them, and the target. */
static struct val *example(const struct dataset *d, const struct part *p, int64_t row) {
    const struct column *c = &p->col[0];
    struct val *v = val_table();
    if (p->raw) val_set(v, "text", val_strn((char *)p->raw->data + p->raw->offset[row], (size_t)(p->raw->offset[row + 1] - p->raw->offset[row])));
    if (c->type == COL_TOKENS) {
        struct val *ids = val_list();
        for (int64_t i = c->offset[row]; i < c->offset[row + 1]; i++) val_push(ids, val_int(((int32_t *)c->data)[i]));
        val_set(v, "tokens", ids);
    } else {
        float *x = X_NEW(float, (size_t)c->width + 1);
        struct batch_col b[4] = {{.data = x}};
        struct val *l = val_list(), *shape = val_list();
        part_fill(p, &row, 1, b);
        for (int64_t i = 0; i < c->width; i++) val_push(l, c->type == COL_I32 ? val_int(((int32_t *)x)[i]) : val_num((double)x[i]));
        for (int i = 0; i < c->ndim; i++) val_push(shape, val_int(c->dim[i]));
        val_set(v, "x", l);
        val_set(v, "shape", shape);
        free(x);
    }
    if (p->n_col == d->n_input) return v;
    const struct column *y = &p->col[p->n_col - 1];
    if (y->type == COL_TOKENS) { /* of a stream: the tokens that follow */
        struct val *ids = val_list();
        for (int64_t i = y->offset[row]; i < y->offset[row + 1]; i++) val_push(ids, val_int(((int32_t *)y->data)[i]));
        val_set(v, "next", ids);
    } else if (y->type == COL_F32) val_set_num(v, "y", (double)((float *)y->data)[row]);
    else {
        int32_t k = ((int32_t *)y->data)[row];
        val_set_int(v, "label", k);
        val_set_str(v, "class", d->class_name[k]);
    }
    return v;
}

static struct val *part_field(const struct dataset *d, struct handle h, const struct val *name, struct err *e) {
    static const char *const names[] = {"classes", "name", "data"};
    const struct part *p = &d->part[h.sub < PART_N ? h.sub : 0];
    int64_t i;
    if (name->type != VAL_STR && val_as_int(name, &i)) {
        if (i >= 1 && i <= p->n) return example(d, p, i - 1);
        return val_nil(); /* the end, as of a Lua list */
    }
    const char *s = name->type == VAL_STR ? name->u.s.p : "?";
    if (!strcmp(s, "#")) return val_int(p->n);
    if (!strcmp(s, "classes")) return classes(d);
    if (!strcmp(s, "name")) return val_str(part_names[h.sub < PART_N ? h.sub : 0]);
    if (!strcmp(s, "data")) return val_handle((struct handle){h.id, h.gen, HANDLE_DATA, 0});
    no_field("part", s, names, LEN(names), e);
    return NULL;
}

static int of_data(struct call *c, const struct field_args *a, struct err *e) {
    struct dataset *d = objects_data(a->of, e);
    if (!d) return -1;
    struct val *v = a->of.kind == HANDLE_PART ? part_field(d, a->of, a->name, e) : a->name->type == VAL_STR ? data_field(d, a->of, a->name->u.s.p, e) : NULL;
    if (!v && a->of.kind == HANDLE_DATA && a->name->type != VAL_STR) err_code(e, ERR_USAGE, "a data set has no examples of its own; index a part: d.train[1]");
    dataset_unref(d);
    if (!v) return -1;
    call_result(c, v);
    return 0;
}

static int (*const by_kind[HANDLE_KINDS])(struct call *c, const struct field_args *a, struct err *e) = {[HANDLE_DATA] = of_data, [HANDLE_PART] = of_data};

static int run(struct call *c, const void *args, struct err *e) {
    const struct field_args *a = args;
    if (a->of.kind < HANDLE_KINDS && by_kind[a->of.kind]) return by_kind[a->of.kind](c, a, e);
    struct val v = {.type = VAL_HANDLE, .u.h = a->of};
    return err_code(e, ERR_USAGE, "a %s has no fields; hone.help() lists what can be done with it", val_type_name(&v));
}

const struct cmd cmd_field = {
    {"field", "A field or element of a handle", NULL, args_table, sizeof(struct field_args)}, OWNER_ANY, CMD_HIDDEN | CMD_WATCHER, run, NULL};
