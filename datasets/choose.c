/* Which columns of a table are the target and the inputs, as the user said or as they look. Helper thread. */
#include "datasets/loading.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "datasets/look.h"
#include "datasets/recipes/recipes.h"
#include "src/base/buf.h"
#include "src/base/log.h"
#include "src/base/mem.h"

/* The first of some space-separated names that the table has, however it is written; -1: none. */
static int first_of(const struct table *t, const char *names) {
    for (const char *p = names; p && *p;) {
        size_t n = strcspn(p, " ");
        for (int i = 0; i < t->n_col; i++)
            if (strlen(t->col[i].name) == n && strncasecmp(t->col[i].name, p, n) == 0) return i;
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

/* What is known of the columns while they are chosen. */
struct choice {
    struct loading *l;
    const struct table *t;
    struct look *look; /* of each column; n == 0 of arrays */
    const char **why; /* it is left out, or NULL */
};

/* drop=NAME or a list of names: left out. */
static int drop_asked(struct choice *c, struct err *e) {
    const struct val *v = c->l->a->drop;
    for (size_t i = 0; v && i < (v->type == VAL_TABLE ? val_len(v) : 1); i++) {
        const struct val *one = v->type == VAL_TABLE ? val_at(v, i) : v;
        char tmp[32];
        if (one->type == VAL_INT) snprintf(tmp, sizeof tmp, "%lld", (long long)one->u.i);
        else if (one->type != VAL_STR)
            return err_code(e, ERR_USAGE, "drop= is a column name or a list of names, but item %zu is a %s", i + 1, val_type_name(one));
        int col = asked(c->t, one->type == VAL_INT ? tmp : one->u.s.p, "drop", e);
        if (col < 0) return -1;
        c->why[col] = "asked for";
    }
    return 0;
}

static int choice_init(struct choice *c, struct loading *l, struct err *e) {
    const struct table *t = &l->tab[PART_TRAIN];
    *c = (struct choice){l, t, X_NEW(struct look, (size_t)t->n_col + 1), X_NEW(const char *, (size_t)t->n_col + 1)};
    for (int i = 0; i < t->n_col; i++) {
        if (t->col[i].type != COL_TEXT) continue;
        c->look[i] = look_at(t, i);
        if (!l->src.recipe && !prep_is(l, "table")) c->why[i] = look_useless(&c->look[i], t, i);
    }
    return drop_asked(c, e);
}

/* Of a table for a model: the column that has the name of the target it learned, else the first column that is no input and begins with one of its classes,
 * else the last that is no input. */
static int choose_y_like(const struct loading *l, const struct table *t) {
    const struct val *classes = val_get(l->a->like, "classes");
    int last = table_find(t, val_get_str(l->prep, "y", ""));
    if (last >= 0) return last;
    last = -2;
    for (int i = 0; i < t->n_col && prep_is(l, "table"); i++) {
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

/* The last column that can be a target: of text and label, in either order, the label. */
static int last_target(const struct choice *c) {
    const struct table *t = c->t;
    for (int i = t->n_col - 1; i >= 0; i--) {
        const struct look *k = &c->look[i];
        if (t->col[i].type != COL_TEXT || c->l->a->target == TARGET_SEQUENCE) return i;
        if (!c->why[i] && k->n * 2 > k->rows && !look_text(k, false)) return i;
    }
    return t->n_col - 1;
}

/* -1: an error; -2: there is none. */
static int choose_y(struct choice *c, struct err *e) {
    struct loading *l = c->l;
    const struct table *t = c->t;
    int i = -1;
    if (l->a->y) return asked(t, l->a->y, "y", e);
    if (l->prep && ((i = choose_y_like(l, t)) >= 0 || prep_is(l, "table"))) return i;
    i = l->src.recipe && l->src.recipe->y ? first_of(t, l->src.recipe->y) : -1;
    if (i < 0) i = first_of(t, "label category class target intent diagnosis sentiment labels y species outcome survived attrition churn saleprice");
    if (i >= 0 && !(c->why[i] && !strcmp(c->why[i], "asked for"))) return i;
    l->guessed = t->named || t->n_col > 2;
    return t->n_col > 1 ? last_target(c) : -2;
}

static void leave_out(struct loading *l, const char *name, const char *why) {
    if (!l->left) l->left = val_list();
    struct val *v = val_table();
    val_set_str(v, "column", name);
    val_set_str(v, "why", why);
    val_push(l->left, v);
}

static int no_input(const struct loading *l, const struct table *t, int y, struct err *e) {
    const struct val *v = val_at(l->left, 0);
    if (v)
        return err_set(e, "%s has no column left for the inputs: \"%.100s\" has %s; name the inputs with x= or text=", t->file, val_get_str(v, "column", ""),
            val_get_str(v, "why", ""));
    return err_set(e, "%s has no column left for the inputs%s%s", t->file, y >= 0 ? " besides the target " : "", y >= 0 ? t->col[y].name : "");
}

static int choose_x(struct choice *c, int y, struct err *e) {
    struct loading *l = c->l;
    const struct table *t = c->t;
    const struct data_args *a = l->a;
    const struct recipe *r = l->src.recipe;
    l->n_x = 0;
    if (prep_is(l, "table") && !a->x) {
        for (int i = 0; i < l->tabular.n; i++)
            if ((l->x[l->n_x++] = asked(t, l->tabular.f[i].name, "the model's input", e)) < 0) return -1;
    } else if (a->x) {
        for (size_t i = l->a->y != NULL; l->want[i]; i++) {
            if (a->text && i == (size_t)(l->a->y != NULL)) continue;
            int col = asked(t, l->want[i], "x", e);
            if (col < 0) return -1;
            if (col == y) return err_code(e, ERR_USAGE, "column \"%.100s\" is the target, so it cannot be an input", t->col[col].name);
            l->x[l->n_x++] = col;
        }
    } else {
        int drop = r && r->drop ? first_of(t, r->drop) : -1;
        for (int i = 0; i < t->n_col; i++) {
            if (i == y || i == drop) continue;
            if (c->why[i]) leave_out(l, t->col[i].name, c->why[i]);
            else l->x[l->n_x++] = i;
        }
    }
    return l->n_x ? 0 : no_input(l, t, y, e);
}

/* The column of the text, where the inputs are one; -1: they are a table. Beside other columns a text is longer than a name. */
static int choose_text(struct choice *c, int y) {
    const struct loading *l = c->l;
    const struct table *t = c->t;
    int text = l->prep ? table_find(t, val_get_str(l->prep, "x", "")) : -1, others = 0;
    if (text < 0 && l->src.recipe && l->src.recipe->text) text = first_of(t, l->src.recipe->text);
    if (text < 0) text = first_of(t, "text sentence review query text_a");
    if (text < 0 && (text = first_of(t, "title content headline")) >= 0 && !look_text(&c->look[text], false)) text = -1;
    if (text >= 0 && t->col[text].type == COL_TEXT) return text == y ? -1 : text;
    for (int i = 0; i < t->n_col; i++) others += i != y && (!c->why[i] || look_text(&c->look[i], false));
    for (int i = 0; i < t->n_col; i++)
        if (i != y && t->col[i].type == COL_TEXT && look_text(&c->look[i], others > 1)) return i;
    return -1;
}

static int choose_inputs(struct choice *c, int y, struct err *e) {
    struct loading *l = c->l;
    const struct table *t = c->t;
    int text = -1;
    if (l->a->text && (text = asked(t, l->a->text, "text", e)) < 0) return -1;
    if (text < 0 && !l->a->x && !prep_is(l, "table")) text = choose_text(c, y);
    if (text >= 0 && text == y) return err_code(e, ERR_USAGE, "column \"%.100s\" is both text and target; give y=", t->col[y].name);
    if (text >= 0) {
        if (l->a->x) return err_code(e, ERR_USAGE, "give either text= or x=, not both");
        l->input = INPUT_TEXT;
        l->x[0] = text;
        l->n_x = 1;
        for (int i = 0; i < t->n_col && !l->a->text && !l->src.recipe; i++)
            if (i != y && i != text) leave_out(l, t->col[i].name, c->why[i] ? c->why[i] : "not the text");
        return 0;
    }
    if (choose_x(c, y, e)) return -1;
    l->input = t->col[l->x[0]].type == COL_TEXT ? INPUT_TABLE : INPUT_ARRAY;
    for (int i = 0; i < l->n_x; i++)
        if ((t->col[l->x[i]].type == COL_TEXT) != (l->input == INPUT_TABLE)) return err_set(e, "%s mixes arrays and text columns; give x=", t->file);
    if (l->input == INPUT_ARRAY && l->n_x > 1) return err_set(e, "%s holds %d arrays besides the target; say which is the input with x=", t->file, l->n_x);
    return 0;
}

int choose_columns(struct loading *l, int *y, struct err *e) {
    struct choice c;
    int r = choice_init(&c, l, e);
    *y = r ? -1 : choose_y(&c, e);
    r = r || *y == -1 ? -1 : 0;
    if (*y < 0) *y = -1;
    l->has_y = *y >= 0;
    if (!r) r = choose_inputs(&c, *y, e);
    free(c.look);
    free(c.why);
    return r;
}

static const char *name_of(const char *column) { return *column ? column : "the first column"; }

/* What was guessed, in one line. */
static void say(const struct loading *l, const struct table *t, int y) {
    struct buf b = BUF_INIT;
    const char *sep = "";
    if (l->guessed && y >= 0) {
        buf_addf(&b, "the target is %.60s, ", t->col[y].name);
        if (l->target.n_class) buf_addf(&b, "%d class%s", l->target.n_class, l->target.n_class == 1 ? "" : "es");
        else buf_adds(&b, "a number");
        buf_adds(&b, " (y= takes another)");
        sep = "; ";
    }
    if (val_len(l->left) && l->input == INPUT_TEXT) buf_addf(&b, "%sthe text is %.60s", sep, t->col[l->x[0]].name), sep = "; ";
    for (size_t i = 0; i < val_len(l->left) && i < 12; i++) {
        const char *why = val_get_str(val_at(l->left, i), "why", "");
        if (!strcmp(why, "asked for")) continue;
        buf_addf(&b, "%s%s%.60s", sep, *sep == ',' ? "" : "left out: ", name_of(val_get_str(val_at(l->left, i), "column", "")));
        if (strcmp(why, "not the text")) buf_addf(&b, " (%s)", why);
        sep = ", ";
    }
    if (val_len(l->left) > 12) buf_addf(&b, " and %zu more", val_len(l->left) - 12);
    if (b.len) log_write(LOG_INFO, "%s: %s", t->file, b.data);
    buf_release(&b);
}

void choose_note(struct loading *l, int y) {
    const struct table *t = &l->tab[PART_TRAIN];
    if (l->input == INPUT_TABLE || (l->input == INPUT_TEXT && t->named)) say(l, t, y);
    if (l->input == INPUT_ARRAY || t->origin) return;
    struct val *v = val_table();
    if (y >= 0) val_set_str(v, "target", t->col[y].name);
    if (l->input == INPUT_TEXT) val_set_str(v, "text", t->col[l->x[0]].name);
    else {
        struct val *x = val_list();
        for (int i = 0; i < l->n_x; i++) val_push(x, val_str(t->col[l->x[i]].name));
        val_set(v, "inputs", x);
    }
    if (val_len(l->left)) {
        struct val *names = val_list();
        for (size_t i = 0; i < val_len(l->left); i++) val_push(names, val_str(val_get_str(val_at(l->left, i), "column", "")));
        val_set(v, "left_out", names);
    }
    val_set(l->d->identity, "columns", v);
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
