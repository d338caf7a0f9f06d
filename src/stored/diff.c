/* The command diff, which is what screen Compare lists: the names of the configuration whose values differ, with the value of each run, then for each
 * metric that the runs share the best values, their steps, and the difference to the first run. Helper thread or line mode. */
#include "config.h"

#include "src/stored/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/args.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/stored/folder.h"

/* ---- what differs ---- */

bool diff_one(const struct shelf_run *const *run, size_t n, const char *name) {
    const struct shelf_value *first = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct shelf_value *v = value_named(run[i], name);
        if (i == 0) first = v;
        else if (!v != !first || (v && strcmp(v->text, first->text) != 0)) return true;
    }
    return false;
}

const struct shelf_value *value_named(const struct shelf_run *r, const char *name) {
    for (size_t i = 0; i < r->n_value; i++)
        if (strcmp(r->value[i].name, name) == 0) return &r->value[i];
    return NULL;
}

size_t diff_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max) {
    size_t got = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < run[i]->n_value && got < max; k++) {
            const char *name = run[i]->value[k].name;
            bool seen = false;
            for (size_t before = 0; before < i && !seen; before++) seen = value_named(run[before], name) != NULL;
            if (!seen && diff_one(run, n, name)) out[got++] = name;
        }
    return got;
}

enum { NAMES = 512, SLOTS = 2048 };
struct names { /* distinct names by hash; slot: 1 + index, 0: free */
    const char *name[NAMES], *first[NAMES]; /* first: the value that was seen first */
    size_t n, seen[NAMES];
    bool differs[NAMES];
    uint16_t slot[SLOTS];
};

static size_t name_at(struct names *t, const char *name) { /* NAMES: there is no room */
    size_t i = hash_bytes(HASH_START, name, strlen(name)) % SLOTS;
    while (t->slot[i] && strcmp(t->name[t->slot[i] - 1], name) != 0) i = (i + 1) % SLOTS;
    if (t->slot[i]) return t->slot[i] - 1u;
    if (t->n == NAMES) return NAMES;
    t->name[t->n] = name;
    t->slot[i] = (uint16_t)++t->n;
    return t->n - 1;
}

size_t vary_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max) {
    struct names *t = X_NEW(struct names, 1);
    size_t got = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < run[i]->n_value; k++) {
            size_t at = name_at(t, run[i]->value[k].name);
            if (at == NAMES) continue;
            if (!t->seen[at]++) t->first[at] = run[i]->value[k].text;
            else if (strcmp(t->first[at], run[i]->value[k].text) != 0) t->differs[at] = true;
        }
    for (size_t k = 0; k < t->n && got < max; k++)
        if (t->differs[k] || t->seen[k] != n) out[got++] = t->name[k];
    free(t);
    return got;
}

size_t metric_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max) {
    struct names *t = X_NEW(struct names, 1);
    for (size_t i = n; i-- > 0;)
        for (size_t k = 0; k < run[i]->n_metric; k++) name_at(t, run[i]->metric[k].name);
    size_t got = t->n < max ? t->n : max;
    memcpy(out, t->name, got * sizeof *out);
    free(t);
    return got;
}

bool same_but_seed(const struct shelf_run *a, const struct shelf_run *b) {
    static const char *const apart[] = {"seed", "threads", "device", "data.split"};
    const struct shelf_run *two[] = {a, b};
    const char *names[8];
    size_t n = diff_names(two, 2, names, LEN(names));
    if (n == LEN(names) || strcmp(a->model, b->model) != 0 || a->seed == b->seed) return false;
    for (size_t i = 0; i < n; i++) {
        bool allowed = false;
        for (size_t k = 0; k < LEN(apart); k++) allowed = allowed || strcmp(names[i], apart[k]) == 0;
        if (!allowed) return false;
    }
    return true;
}

/* ---- the command ---- */

enum { DIFF_MAX = 4096 };

struct diff_args {
    struct val *runs;
};

/* What a run does not have is left out of its row. */
static void add_value(struct val *t, const char *run, const struct shelf_value *v) {
    bool word = v && isnan(v->num) && strcmp(v->text, "true") != 0 && strcmp(v->text, "false") != 0;
    if (v) val_set(t, run, word ? val_str(v->text) : args_text(v->text));
}

static void add_metrics(struct val *list, const struct shelf_run *const *run, size_t n) {
    const struct shelf_run *base = run[0];
    for (size_t k = 0; k < base->n_metric; k++) {
        const char *name = base->metric[k].name;
        struct val *best = val_table(), *step = val_table(), *delta = val_table();
        val_append(best, "what", val_str(metric_direction(name) ? "best" : "last"));
        val_append(step, "what", val_str("step"));
        val_append(delta, "what", val_str("delta"));
        int64_t at;
        double first = shelf_best(&base->metric[k], &at);
        for (size_t i = 0; i < n; i++) {
            const struct metric_ends *m = shelf_metric(run[i], name);
            double v = m ? shelf_best(m, &at) : NAN;
            if (i == 0) {
                struct val *rows[] = {best, step, delta};
                for (size_t r = 0; r < LEN(rows); r++) val_append(rows[r], "name", val_str(name));
            }
            if (!m) continue;
            val_set(best, run[i]->name, val_num(v));
            val_set(step, run[i]->name, val_int(at));
            if (i > 0) val_set(delta, run[i]->name, val_num(v - first));
        }
        val_push(list, best);
        val_push(list, step);
        val_push(list, delta);
    }
}

static int diff_run(struct call *c, const void *args, struct err *e) {
    const struct diff_args *a = args;
    size_t n = 0;
    struct folder *f = folders_open(c, a->runs, 2, &n, e);
    if (!f) return -1;
    struct shelf_row **row = X_NEW(struct shelf_row *, n);
    const struct shelf_run **run = X_NEW(const struct shelf_run *, n);
    const char **names = X_NEW(const char *, DIFF_MAX);
    for (size_t i = 0; i < n; i++) run[i] = row_run(row[i] = row_read(f[i].dir, f[i].name));
    struct val *list = val_list();
    size_t keys = diff_names(run, n, names, DIFF_MAX);
    for (size_t k = 0; k < keys; k++) {
        struct val *t = val_table();
        val_append(t, "what", val_str("config"));
        val_append(t, "name", val_str(names[k]));
        for (size_t i = 0; i < n; i++) add_value(t, run[i]->name, value_named(run[i], names[k]));
        val_push(list, t);
    }
    add_metrics(list, run, n);
    call_result(c, list);
    for (size_t i = 0; i < n; i++) row_unref(row[i]);
    free(row);
    free(run);
    free(names);
    folders_close(f, n);
    return 0;
}

static const struct arg diff_table[] = {{"runs", "two or more runs, the first is what the others are compared with", NULL, NULL, ARG_TABLE,
                                            offsetof(struct diff_args, runs), ARG_POSITIONAL | ARG_REST, .source = SRC_RUN},
    {0}};
const struct cmd cmd_diff = {{"diff", "the keys of the configuration that differ between runs, and best values with their differences",
                                 "hone.diff{\"fashion-1\", \"fashion-2\"}", diff_table, sizeof(struct diff_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING | CMD_WATCHER, diff_run, NULL};
