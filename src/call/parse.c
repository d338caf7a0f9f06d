/* A line of words to a call: quotes, braces, NAME=VALUE, property names as commands. Pure but for the lookup of run names. Any thread. */
#include "config.h"

#include "src/call/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/call/job.h"
#include "src/call/port.h"
#include "src/call/settings.h"

struct val *parse_unknown(struct hub *h, const char *name, struct err *e) {
    size_t n = 0;
    const char **names = X_NEW(const char *, hub_count(h));
    struct buf shown = BUF_INIT;
    for (size_t i = 0; i < hub_count(h); i++)
        if (!(hub_cmd(h, i)->flags & CMD_HIDDEN)) names[n++] = hub_cmd(h, i)->kind.name;
    const char *near = args_nearest(name, names, n);
    utf8_show(&shown, name, strlen(name), 60, UTF8_FULL);
    if (near) err_code(e, ERR_USAGE, "unknown command '%s', did you mean '%s'?", shown.data, near);
    else err_code(e, ERR_USAGE, "unknown command '%s'; help lists the commands", shown.data);
    buf_release(&shown);
    free(names);
    return NULL;
}

struct property { /* what takes_value looks for */
    const char *name;
    const struct val *value; /* NULL: any */
    struct err *err;
    bool known;
};

/* Calls fn for every known property until it returns true. */
static bool each_property(struct hub *h, bool (*fn)(void *ctx, const struct kind *k, const struct arg *a), void *ctx) {
    for (const struct arg *a = settings_kind.args; a->name; a++)
        if (fn(ctx, &settings_kind, a)) return true;
    for (const struct catalog *c = hub_catalogs(h); c->group; c++)
        for (size_t i = 0; c->kinds && c->kinds[i]; i++)
            for (const struct arg *a = c->kinds[i]->args; a && a->name; a++)
                if (a->flags & ARG_LIVE && fn(ctx, c->kinds[i], a)) return true;
    for (size_t i = 0; i < hub_count(h); i++)
        for (const struct arg *a = hub_cmd(h, i)->kind.args; a && a->name; a++)
            if (a->flags & ARG_LIVE && fn(ctx, &hub_cmd(h, i)->kind, a)) return true;
    return false;
}

static bool is_name(void *ctx, const struct kind *k, const struct arg *a) {
    (void)k;
    return strcmp(ctx, a->name) == 0;
}

bool parse_is_property(struct hub *h, const char *name) { return each_property(h, is_name, (void *)(uintptr_t)name); }

/* True: a row of this name takes the value. The sentence of the first that does not stays in err. */
static bool takes_value(void *ctx, const struct kind *k, const struct arg *a) {
    struct property *p = ctx;
    struct err e = {0};
    if (strcmp(p->name, a->name) != 0) return false;
    if (!p->value) return p->known = true;
    const struct kind one = {"set", NULL, NULL, a, k->size};
    void *s = mem_new(1, k->size ? k->size : 1);
    int rc = args_set(&one, s, a->name, p->value, &e);
    args_release(&one, s);
    free(s);
    if (rc != 0 && !p->known) *p->err = e;
    p->known = true;
    return rc == 0;
}

int parse_no_property(struct hub *h, const char *who, const char *name, const struct val *v, const char *job, struct err *e) {
    struct err range = {0};
    struct property p = {.name = name, .value = v, .err = &range};
    if (each_property(h, takes_value, &p))
        return err_set(e, "%s: %s is a property of a run, and %s%s", who, name, job ? job : "nothing is running", job ? " has none of that name" : "");
    if (p.known) {
        *e = range;
        return -1;
    }
    struct buf shown = BUF_INIT;
    const char *near = parse_nearest_property(h, name, NULL, 0);
    utf8_show(&shown, name, strlen(name), 60, UTF8_FULL);
    if (near) err_code(e, ERR_USAGE, "%s: unknown property '%s', did you mean '%s'?", who, shown.data, near);
    else err_code(e, ERR_USAGE, "%s: unknown property '%s'; props lists them", who, shown.data);
    buf_release(&shown);
    return -1;
}

struct list {
    const char *name[512];
    size_t n;
};
static bool add_name(void *ctx, const struct kind *k, const struct arg *a) {
    (void)k;
    struct list *l = ctx;
    l->name[l->n++] = a->name;
    return l->n == LEN(l->name);
}

const char *parse_nearest_property(struct hub *h, const char *wrong, const char *const *more, size_t n_more) {
    struct list l = {.n = 0};
    for (size_t i = 0; i < n_more && l.n < LEN(l.name) / 2; i++) l.name[l.n++] = more[i];
    each_property(h, add_name, &l);
    return args_nearest(wrong, l.name, l.n);
}

static void resolve_run(struct hub *h, struct val *v) {
    struct handle found;
    if (!v || v->type != VAL_STR || !hub_run_handle(h, v->u.s.p, &found)) return;
    free(v->u.s.p);
    v->type = VAL_HANDLE;
    v->u.h = found;
}

void parse_resolve(struct hub *h, const struct kind *k, struct val *args) {
    const struct arg *prop = NULL;
    struct handle h0;
    if (!args || args->type != VAL_TABLE) return;
    args_number(args);
    for (const struct arg *a = k->args; a && a->name; a++) {
        if (a->type == ARG_HANDLE && a->source == SRC_RUN) {
            resolve_run(h, val_get(args, a->name));
            if (a == k->args) resolve_run(h, val_at(args, 0));
        }
        if (a->source == SRC_PROP && a->flags & ARG_POSITIONAL) prop = a;
    }
    if (!prop || !prop[1].name || val_get(args, prop->name)) return;
    for (size_t i = 0; i < args->u.t.n_field; i++) {
        const struct val_field *f = &args->u.t.field[i];
        if (args_find(k, f->name)) continue;
        const struct val *first = val_at(args, 0);
        bool only = !first || (val_len(args) == 1 && (first->type == VAL_HANDLE || (first->type == VAL_STR && handle_parse(first->u.s.p, &h0))));
        if (!parse_is_property(h, f->name) && (!only || args->u.t.n_field != 1)) continue; /* set lrr=1: a property, if a wrong one */
        struct val *value = val_copy(f->v);
        char *name = mem_str(f->name);
        val_unset(args, name);
        val_set_str(args, prop->name, name);
        val_set(args, prop[1].name, value);
        free(name);
        return;
    }
}

/* ---- words ---- */

struct word {
    char *text; /* without the quotes */
    size_t equal; /* place of the first = outside quotes and braces, SIZE_MAX: none */
    bool quoted; /* starts with a quote (after the =): always a string */
};

static void space(const char **p) {
    while (**p == ' ' || **p == '\t') (*p)++;
}

/* The next word; braces keep their text, quotes inside them too. 0: end, -1: error. */
static int next_word(const char **p, struct word *w, struct err *e) {
    struct buf b = BUF_INIT;
    int depth = 0;
    space(p);
    if (!**p) return 0;
    *w = (struct word){NULL, SIZE_MAX, false};
    for (; **p && (depth || (**p != ' ' && **p != '\t')); (*p)++) {
        if (**p == '"' || **p == '\'') {
            char q = **p;
            if (!depth && (b.len == 0 || (w->equal != SIZE_MAX && b.len == w->equal + 1))) w->quoted = true;
            if (depth) buf_addc(&b, q);
            for ((*p)++; **p && **p != q; (*p)++) {
                if (**p == '\\' && (*p)[1]) {
                    if (depth) buf_addc(&b, **p);
                    (*p)++;
                }
                buf_addc(&b, **p);
            }
            if (!**p) {
                buf_release(&b);
                return err_code(e, ERR_USAGE, "the quote %c is not closed", q);
            }
            if (depth) buf_addc(&b, q);
            continue;
        }
        if (**p == '{') depth++;
        if (**p == '}' && depth) depth--;
        if (**p == '=' && !depth && w->equal == SIZE_MAX && b.len && !w->quoted) w->equal = b.len;
        buf_addc(&b, **p);
    }
    if (depth) {
        buf_release(&b);
        return err_code(e, ERR_USAGE, "a { is not closed");
    }
    w->text = buf_take(&b);
    return 1;
}

static struct val *word_value(const struct arg *a, const char *text, bool quoted) {
    if (quoted || (a && (a->type == ARG_STR || a->type == ARG_PATH || a->type == ARG_ENUM || a->type == ARG_HANDLE))) return val_str(text);
    return args_text(text);
}

static bool names_handle(struct hub *h, const char *text) {
    struct handle x;
    return handle_parse(text, &x) || hub_run_handle(h, text, &x);
}

/* The words of the line into a table for the row k. */
static int read_words(struct hub *h, const struct kind *k, const char **p, struct val *t, struct err *e) {
    static const struct arg end = {0};
    const struct arg *a = k->args ? k->args : &end;
    struct word w;
    int rc;
    while ((rc = next_word(p, &w, e)) > 0) {
        char *eq = w.equal != SIZE_MAX ? w.text + w.equal : NULL;
        bool option = strncmp(w.text, "--", 2) == 0 && w.text[2] && !w.quoted;
        char *name = w.text + (option ? 2 : 0);
        if (eq) *eq = '\0';
        if (eq || option)
            for (char *c = name; *c; c++) *c = *c == '-' ? '_' : *c;
        const struct arg *named = eq || option ? args_find(k, name) : NULL;
        if (eq || (option && named && named->type == ARG_BOOL)) {
            bool twice = val_get(t, name) != NULL;
            val_set(t, name, eq ? word_value(named, eq + 1, w.quoted) : val_bool(true));
            if (twice) rc = err_code(e, ERR_USAGE, "%s: '%s' is given twice", k->name, name);
        } else if (option) {
            struct word v = {NULL, SIZE_MAX, false};
            rc = next_word(p, &v, e);
            if (rc > 0) val_set(t, name, word_value(named, v.text, v.quoted));
            else if (rc == 0) rc = err_code(e, ERR_USAGE, "%s: --%s needs a value", k->name, name);
            free(v.text);
        } else {
            if (a->name && a == k->args && a->type == ARG_HANDLE && !(a->flags & ARG_REQUIRED) && !names_handle(h, w.text)) a++;
            while (a->name && !(a->flags & ARG_POSITIONAL)) a++;
            val_push(t, word_value(a->name ? a : NULL, w.text, w.quoted));
            if (a->name && !(a->flags & ARG_REST)) a++;
        }
        free(w.text);
        if (rc < 0) break;
    }
    return rc;
}

/* "lr 0.1", "lr=0.1", "lr": a property's name instead of a command. */
static struct call *property_line(struct hub *h, const struct word *first, const char *rest, enum by by, struct err *e) {
    const char *value = NULL;
    struct word w = {NULL, SIZE_MAX, false};
    bool quoted = first->quoted;
    if (first->equal != SIZE_MAX) value = first->text + first->equal + 1;
    else {
        int rc = next_word(&rest, &w, e);
        if (rc < 0) return NULL;
        value = w.text;
        quoted = w.quoted;
        if (value && value[0] == '=' && !value[1]) { /* lr = 0.1 */
            free(w.text);
            w.text = NULL;
            if (next_word(&rest, &w, e) < 0) return NULL;
            value = w.text;
        }
    }
    struct val *t = val_table();
    char *name = mem_strn(first->text, first->equal != SIZE_MAX ? first->equal : strlen(first->text));
    val_set_str(t, "name", name);
    if (value) val_set(t, "value", word_value(NULL, value, quoted));
    struct call *c = call_new(h, value ? "set" : "get", t, by, e);
    free(name);
    free(w.text);
    return c;
}

struct call *call_parse(struct hub *h, const char *line, enum by by, struct err *e) {
    struct word w;
    struct call *c = NULL;
    int rc = next_word(&line, &w, e);
    if (rc == 0) err_code(e, ERR_USAGE, "the line is empty; help lists the commands");
    if (rc <= 0) return NULL;
    char *name = mem_strn(w.text, w.equal != SIZE_MAX ? w.equal : strlen(w.text));
    const struct cmd *cmd = w.equal == SIZE_MAX ? hub_find(h, name) : NULL;
    if (cmd) {
        struct val *t = val_table();
        if (read_words(h, &cmd->kind, &line, t, e) == 0) c = call_new(h, cmd->kind.name, t, by, e);
        else val_free(t);
    } else if (parse_is_property(h, name)) c = property_line(h, &w, line, by, e);
    else if (w.equal != SIZE_MAX && parse_nearest_property(h, name, NULL, 0)) parse_no_property(h, "set", name, NULL, NULL, e);
    else parse_unknown(h, name, e);
    free(name);
    free(w.text);
    return c;
}
