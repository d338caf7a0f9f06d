/* What undo and redo take back: for every edit the sets that bring its property back to where it was, newest last. A property that moves on by itself
 * (the learning rate under a schedule) says through job_ops.back what these are, so that not a stale reading but what the edit changed comes back.
 * Each is an edit again: one event, one runnable line of the journal. Engine thread. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/call/private.h"

enum { EDITS = 1000, KEPT = 200 }; /* in memory; of a run in its checkpoint */

static void edit_free(struct edit *x) {
    free(x->name);
    val_free(x->back);
}

static void push(struct edits *list, struct job *j, const char *name, struct val *back_take) {
    if (list->n == EDITS) {
        edit_free(&list->at[0]);
        memmove(list->at, list->at + 1, --list->n * sizeof *list->at);
    }
    list->at = X_ROOM(list->at, struct edit, list->n, &list->cap);
    list->at[list->n++] = (struct edit){j, mem_str(name), back_take};
}

void edits_release(struct edits *list) {
    for (size_t i = 0; i < list->n; i++) edit_free(&list->at[i]);
    free(list->at);
    *list = (struct edits){0};
}

struct val *edits_one(const char *name, struct val *value_take) {
    struct val *list = val_list(), *one = val_table();
    val_set_str(one, "name", name);
    val_set(one, "value", value_take ? value_take : val_nil());
    val_push(list, one);
    return list;
}

struct val *edits_back(struct job *j, const char *name) {
    return j && j->ops && j->ops->back ? j->ops->back(j, name) : NULL;
}

void edits_remember(struct hub *h, struct job *j, const char *name, struct val *back_take) {
    edits_release(&h->redo);
    push(&h->undo, j, name, back_take);
}

int edits_take(struct call *c, bool redo, struct err *e) {
    struct hub *h = c->hub;
    struct edits *from = redo ? &h->redo : &h->undo, *to = redo ? &h->undo : &h->redo;
    while (from->n) {
        struct edit x = from->at[--from->n];
        struct val *was = NULL;
        bool over = x.job && x.job != h->running; /* what has ended cannot be changed back */
        int rc = over ? 0 : call_set_all(c, x.job, x.name, x.back, &was, e);
        if (!over && rc == 0) push(to, x.job, x.name, was);
        edit_free(&x);
        if (!over) return rc;
    }
    return redo ? err_set(e, "redo: no edit has been taken back") : err_set(e, "undo: there is no edit to take back");
}

struct val *hub_edits(struct hub *h, const struct job *j) {
    struct val *list = val_list();
    size_t n = 0, seen = 0;
    for (size_t i = 0; i < h->undo.n; i++) n += h->undo.at[i].job == j;
    for (size_t i = 0; i < h->undo.n; i++) {
        const struct edit *x = &h->undo.at[i];
        if (x->job != j || ++seen + KEPT <= n) continue;
        struct val *one = val_table();
        val_set_str(one, "name", x->name);
        val_set(one, "back", val_copy(x->back));
        val_push(list, one);
    }
    return list;
}

void hub_edits_restore(struct hub *h, struct job *j, const struct val *list) {
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *one = val_at(list, i), *back = val_get(one, "back");
        const char *name = val_get_str(one, "name", NULL);
        bool sound = name && back && back->type == VAL_TABLE && val_len(back) > 0;
        for (size_t k = 0; sound && k < val_len(back); k++) sound = val_get_str(val_at(back, k), "name", NULL) && val_get(val_at(back, k), "value");
        if (sound) push(&h->undo, j, name, val_copy(back));
    }
}
