/* The compressors, sorted, and recipes: lists of them as a user writes them. Any thread. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "src/base/mem.h"

/* clang-format off */
#define COMPRESSORS(X) X(half) X(int8) X(magnitude)
/* clang-format on */
#define DECLARE(name) extern const struct compressor compressor_##name;
COMPRESSORS(DECLARE)
#define ROW(name) &compressor_##name,
const struct compressor *const compressors[] = {COMPRESSORS(ROW) NULL};

enum { GROUP_MAX = 16 };
const struct kind *const *compressor_kinds(const char *group) { /* engine_init asks before any other thread exists */
    static const struct kind *kinds[2][GROUP_MAX];
    int which = strcmp(group, "quant") == 0, n = 0;
    for (int i = 0; compressors[i]; i++)
        if (strcmp(compressors[i]->group, group) == 0) kinds[which][n++] = &compressors[i]->kind;
    kinds[which][n] = NULL;
    return kinds[which];
}

static const struct compressor *find(const char *group, const char *name) {
    for (int i = 0; compressors[i]; i++)
        if (strcmp(compressors[i]->kind.name, name) == 0 && (!group || strcmp(compressors[i]->group, group) == 0)) return compressors[i];
    return NULL;
}

static int unknown(const char *name, struct err *e) {
    char full[16][48];
    const char *names[16];
    struct buf all = BUF_INIT;
    size_t n = 0;
    for (; compressors[n]; n++) {
        snprintf(full[n], sizeof full[n], "%s.%s", compressors[n]->group, compressors[n]->kind.name);
        names[n] = full[n];
        buf_addf(&all, "%s%s", n ? ", " : "", full[n]);
    }
    const char *near = args_nearest(name, names, n);
    err_code(e, ERR_USAGE, "there is no compressor \"%.60s\"%s%s%s; there are %s", name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
        all.data);
    buf_release(&all);
    return -1;
}

/* The text of a step, "quant.int8", "int8", "prune.magnitude{0.5}", as a table {quant="int8", ...}; NULL with a sentence. */
static struct val *step_text(const char *text, size_t n, struct err *e) {
    char word[96], *name, *args, *dot;
    while (n && (*text == ' ' || text[n - 1] == ' ')) *text == ' ' ? text++ : 0, n--;
    if (!n || n >= sizeof word) {
        err_code(e, ERR_USAGE, "a step of the recipe is empty or longer than %zu characters", sizeof word - 1);
        return NULL;
    }
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    struct val *t = (args = strchr(word, '{')) ? args_text(args) : val_table();
    if (args) *args = 0;
    name = (dot = strchr(word, '.')) ? dot + 1 : word;
    if (dot) *dot = 0;
    const struct compressor *row = find(dot ? word : NULL, name);
    if (dot) *dot = '.';
    if (row && t->type == VAL_TABLE) {
        val_set_str(t, row->group, row->kind.name);
        return t;
    }
    val_free(t);
    if (!row) unknown(word, e);
    else err_code(e, ERR_USAGE, "%s is followed by its arguments in braces, as in prune.magnitude{0.5}", word);
    return NULL;
}

/* A table with its group's field: {quant="int8", ...}. */
static int step_init(struct recipe_step *s, const struct val *v, size_t at, struct err *e) {
    const char *group = NULL, *name = NULL;
    for (int i = 0; compressors[i] && v->type == VAL_TABLE && !name; i++)
        if ((name = val_get_str(v, compressors[i]->group, NULL))) group = compressors[i]->group;
    if (!name)
        return err_code(e, ERR_USAGE, "step %zu of the recipe is a %s, not a compressor: write quant.int8{} or \"quant.int8\"", at + 1, val_type_name(v));
    if (!(s->row = find(group, name))) return unknown(name, e);
    struct val *args = val_copy(v);
    val_unset(args, s->row->group);
    s->args = mem_new(1, s->row->kind.size);
    snprintf(s->name, sizeof s->name, "%s.%s", s->row->group, s->row->kind.name);
    int rc = args_parse(&s->row->kind, args, s->args, e);
    val_free(args);
    if (rc == 0) return 0;
    free(s->args);
    s->args = NULL;
    return err_wrap(e, "step %zu of the recipe, %s", at + 1, s->name);
}

/* Texts are split at commas outside braces. -1: a step is wrong. */
static int steps_of(const struct val *v, struct val *out, struct err *e) {
    if (v->type != VAL_STR) {
        val_push(out, val_copy(v));
        return 0;
    }
    int depth = 0;
    for (const char *p = v->u.s.p, *from = p;; p++) {
        depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
        if (*p && (*p != ',' || depth > 0)) continue;
        struct val *t = step_text(from, (size_t)(p - from), e);
        if (!t) return -1;
        val_push(out, t);
        if (!*p) return 0;
        from = p + 1;
    }
}

static int steps_init(struct recipe *r, const struct val *list, struct err *e) {
    size_t n = val_len(list);
    if (!n) return err_code(e, ERR_USAGE, "a recipe is a compressor or a list of them: recipe = { prune.magnitude{ 0.5 }, quant.int8{} }");
    r->step = X_NEW(struct recipe_step, n);
    for (size_t i = 0; i < n; i++, r->n++)
        if (step_init(&r->step[i], val_at(list, i), i, e) < 0) {
            recipe_release(r);
            return -1;
        }
    return 0;
}

int recipe_init(struct recipe *r, const struct val *v, struct err *e) {
    struct val *list = val_list();
    bool one = v && (v->type == VAL_STR || (v->type == VAL_TABLE && !val_len(v) && v->u.t.n_field));
    int rc = 0;
    *r = (struct recipe){0};
    if (one) rc = steps_of(v, list, e);
    for (size_t i = 0; i < val_len(v) && !one && rc == 0; i++) rc = steps_of(val_at(v, i), list, e);
    if (rc == 0) rc = steps_init(r, list, e);
    val_free(list);
    return rc;
}

void recipe_release(struct recipe *r) {
    for (int i = 0; i < r->n; i++) {
        args_release(&r->step[i].row->kind, r->step[i].args);
        free(r->step[i].args);
    }
    free(r->step);
    *r = (struct recipe){0};
}
