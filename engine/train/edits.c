/* Edits that are given with the run: each is submitted as a call of `set` right before the boundary of its step, so it is the same event with the same effect
 * as one made by hand at that step. A run's script with the edits of its journal gives the same bits again. Engine thread. */
#include "config.h"

#include <inttypes.h>
#include <stddef.h>

#include "engine/train/train.h"

struct edit_args {
    int64_t at;
    char *name;
    struct val *value;
};
static const struct arg edit_table[] = {
    {"at", "steps done when it is made", NULL, NULL, ARG_INT, offsetof(struct edit_args, at), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 1e15},
    {"name", "which property", NULL, NULL, ARG_STR, offsetof(struct edit_args, name), ARG_POSITIONAL | ARG_REQUIRED},
    {"value", "its new value", NULL, NULL, ARG_VAL, offsetof(struct edit_args, value), ARG_POSITIONAL | ARG_REQUIRED},
    {NULL},
};
static const struct kind edit_kind = {"edits", "an edit at a step", "{100, \"lr\", 0.001}", edit_table, sizeof(struct edit_args)};

int train_edits_start(struct train *t, struct err *e) {
    int64_t before = 0;
    for (size_t i = 0; i < val_len(t->a.edits); i++) {
        struct edit_args a = {0};
        const struct val *one = val_at(t->a.edits, i);
        if (one->type != VAL_TABLE)
            return err_code(e, ERR_USAGE, "train: edit %zu must be a table like {100, \"lr\", 0.001}, not a %s", i + 1, val_type_name(one));
        if (args_parse(&edit_kind, one, &a, e) < 0) return -1;
        int64_t at = a.at;
        args_release(&edit_kind, &a);
        if (at < before)
            return err_code(
                e, ERR_USAGE, "train: edit %zu is of step %" PRId64 ", the one before it of step %" PRId64 "; give them in order", i + 1, at, before);
        before = at;
    }
    return 0;
}

void train_edits_due(struct train *t) {
    for (; t->n_edit < (int64_t)val_len(t->a.edits); t->n_edit++) {
        struct edit_args a = {0};
        struct err e = {0};
        if (args_parse(&edit_kind, val_at(t->a.edits, (size_t)t->n_edit), &a, &e) < 0) continue; /* checked at the start */
        bool later = a.at > t->n_step, due = a.at == t->n_step; /* of earlier ones a checkpoint knows */
        if (due) {
            struct val *v = val_table();
            val_set(v, "run", val_handle(t->j->h));
            val_set_str(v, "name", a.name);
            val_set(v, "value", val_copy(a.value));
            val_set_bool(v, "force", true);
            struct call *c = call_new(t->j->hub, "set", v, BY_SCRIPT, &e);
            if (!c || call_submit(c, NULL, NULL, &e) < 0) runs_notice(hub_runs(t->j->hub), "warn", e.text);
        }
        args_release(&edit_kind, &a);
        if (later) return;
    }
}
