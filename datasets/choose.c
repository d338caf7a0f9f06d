/* Which columns of a table are the target and the inputs, as the user said or as they look. Helper thread. */
#include "datasets/loading.h"

#include <stdlib.h>

#include "datasets/recipes/recipes.h"
#include "src/base/buf.h"

static int first_of(const struct table *t, const char *names) { /* space-separated */
    for (const char *p = names; p && *p;) {
        size_t n = strcspn(p, " ");
        char *one = mem_strn(p, n);
        int i = table_find(t, one);
        free(one);
        if (i >= 0) return i;
        p += n + (p[n] == ' ');
    }
    return -1;
}

static int asked(const struct table *t, const char *name, const char *arg, struct err *e) {
    int i = table_find(t, name);
    if (i >= 0) return i;
    struct buf b = BUF_INIT;
    for (int k = 0; k < t->n_col && k < 12; k++) buf_addf(&b, "%s%.60s", k ? ", " : "", t->col[k].name);
    err_code(e, ERR_USAGE, "%s=\"%.100s\": %s has no such column; it has %s%s%s", arg, name, t->file, b.data ? b.data : "none", t->n_col > 12 ? " .." : "",
        t->named ? "" : " (there is no header; columns are counted from 1)");
    buf_release(&b);
    return -1;
}

static bool looks_like_text(const struct table *t, int col) {
    int64_t n = t->n < 200 ? t->n : 200, blanks = 0, bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = table_text(t, col, i, &k);
        bytes += (int64_t)k;
        blanks += memchr(s, ' ', k) != NULL;
    }
    return blanks * 2 > n || bytes > 24 * n;
}

/* Of a table for a model: the first column that is no input and begins with one of its classes, else the last that is no input. */
static int choose_y_like(const struct loading *l, const struct table *t) {
    const struct val *classes = val_get(l->a->like, "classes");
    int last = -2;
    for (int i = 0; i < t->n_col; i++) {
        bool input = false;
        for (int k = 0; k < l->tabular.n; k++) input |= strcmp(l->tabular.f[k].name, t->col[i].name) == 0;
        if (input || t->n == 0) continue;
        char tmp[32];
        size_t n;
        const char *s = target_label(t, i, 0, tmp, &n);
        for (size_t c = 0; c < val_len(classes); c++) {
            const struct val *v = val_at(classes, c);
            if (v->type == VAL_STR && v->u.s.len == n && memcmp(v->u.s.p, s, n) == 0) return i;
        }
        last = i;
    }
    return last;
}

static int choose_y(struct loading *l, const struct table *t, struct err *e) {
    if (l->a->y) return asked(t, l->a->y, "y", e);
    if (prep_is(l, "table")) return choose_y_like(l, t);
    int i = l->src.recipe && l->src.recipe->y ? first_of(t, l->src.recipe->y) : -1;
    if (i < 0) i = first_of(t, "label category class target y intent diagnosis sentiment labels");
    if (i < 0 && t->n_col > 1) { /* the last column, or the first of "label<TAB>text" */
        i = t->n_col - 1;
        if (t->col[i].type == COL_TEXT && looks_like_text(t, i)) i = 0;
    }
    return i < 0 ? -2 : i;
}

static int choose_x(struct loading *l, const struct table *t, int y, struct err *e) {
    const struct data_args *a = l->a;
    const struct recipe *r = l->src.recipe;
    l->n_x = 0;
    if (prep_is(l, "table") && !a->x) {
        for (int i = 0; i < l->tabular.n; i++)
            if ((l->x[l->n_x++] = asked(t, l->tabular.f[i].name, "the model's input", e)) < 0) return -1;
    } else if (a->x) {
        for (size_t i = l->a->y != NULL; l->want[i]; i++) {
            if (a->text && i == (size_t)(l->a->y != NULL)) continue;
            int c = asked(t, l->want[i], "x", e);
            if (c < 0) return -1;
            if (c == y) return err_code(e, ERR_USAGE, "column \"%.100s\" is the target, so it cannot be an input", t->col[c].name);
            l->x[l->n_x++] = c;
        }
    } else {
        int drop = r && r->drop ? first_of(t, r->drop) : -1;
        for (int i = 0; i < t->n_col; i++)
            if (i != y && i != drop) l->x[l->n_x++] = i;
    }
    if (!l->n_x) return err_set(e, "%s has no column left for the inputs", t->file);
    return 0;
}

int choose_columns(struct loading *l, int *y_out, struct err *e) {
    const struct table *t = &l->tab[PART_TRAIN];
    int y = choose_y(l, t, e), text = -1;
    if (y == -1) return -1;
    if (y == -2) y = -1;
    if (l->a->text && (text = asked(t, l->a->text, "text", e)) < 0) return -1;
    if (text < 0 && !l->a->x && !prep_is(l, "table")) {
        if (l->src.recipe && l->src.recipe->text) text = first_of(t, l->src.recipe->text);
        if (text < 0) text = first_of(t, "text sentence review query title text_a content headline");
        for (int i = 0; text < 0 && i < t->n_col; i++)
            if (i != y && t->col[i].type == COL_TEXT && looks_like_text(t, i)) text = i;
        if (text == y) text = -1;
    }
    if (text >= 0 && text == y) return err_code(e, ERR_USAGE, "column \"%.100s\" is both text and target; give y=", t->col[y].name);
    *y_out = y;
    l->has_y = y >= 0;
    if (text >= 0) {
        if (l->a->x) return err_code(e, ERR_USAGE, "give either text= or x=, not both");
        l->input = INPUT_TEXT;
        l->x[0] = text;
        l->n_x = 1;
        return 0;
    }
    if (choose_x(l, t, y, e)) return -1;
    l->input = t->col[l->x[0]].type == COL_TEXT ? INPUT_TABLE : INPUT_ARRAY;
    for (int i = 0; i < l->n_x; i++)
        if ((t->col[l->x[i]].type == COL_TEXT) != (l->input == INPUT_TABLE)) return err_set(e, "%s mixes arrays and text columns; give x=", t->file);
    if (l->input == INPUT_ARRAY && l->n_x > 1) return err_set(e, "%s holds %d arrays besides the target; say which is the input with x=", t->file, l->n_x);
    return 0;
}

/* The same column in the table of another part. */
int same_column(const struct loading *l, int part, int col, struct err *e) {
    const struct table *t = &l->tab[part], *train = &l->tab[PART_TRAIN];
    if (part == PART_TRAIN) return col;
    int i = train->named || l->input == INPUT_ARRAY ? table_find(t, train->col[col].name) : col < t->n_col ? col : -1;
    if (i < 0) return err_set(e, "%s has no column \"%.100s\", but %s has", t->file, train->col[col].name, train->file);
    const struct column *a = &t->col[i], *b = &train->col[col];
    if (a->type != b->type || a->width != b->width)
        return err_set(
            e, "%s: an example has %lld values of another shape or type than in %s (%lld)", t->file, (long long)a->width, train->file, (long long)b->width);
    return i;
}
