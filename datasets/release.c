/* The end of data sets and parts; references from any thread. */
#include <stdlib.h>

#include "datasets/dataset.h"
#include "datasets/text/vocab.h"

static void column_release(struct column *c) {
    free(c->name);
    free(c->data);
    free(c->offset);
    free(c->weight);
    free(c->mean);
    free(c->inv_std);
}

static void part_release(struct part *p) {
    for (int i = 0; i < p->n_col; i++) column_release(&p->col[i]);
    free(p->col);
    if (p->raw) column_release(p->raw);
    free(p->raw);
}

void part_free(struct part *p) {
    if (!p) return;
    part_release(p);
    free(p);
}

/* What dataset_fit made: columns it shares with the set it came from stay. */
static void fitted_release(struct dataset *d) {
    for (int i = 0; i < PART_N; i++) {
        struct part *p = &d->part[i];
        for (int k = 0; k < p->n_col; k++) {
            if (p->col[k].data == d->of->part[i].col[k].data) continue;
            free(p->col[k].data);
            free(p->col[k].offset);
            free(p->col[k].weight);
        }
        free(p->col);
    }
    dataset_unref(d->of);
}

void dataset_ref(struct dataset *d) { atomic_fetch_add(&d->refs, 1); }

void dataset_unref(struct dataset *d) {
    if (!d || atomic_fetch_sub(&d->refs, 1) > 1) return;
    if (d->of) {
        fitted_release(d);
    } else {
        for (int i = 0; i < PART_N; i++) part_release(&d->part[i]);
        for (int i = 0; d->class_name && i < d->n_class; i++) free(d->class_name[i]);
        free(d->class_name);
        vocab_free(d->vocab);
    }
    val_free(d->prep);
    val_free(d->identity);
    free(d->name);
    free(d->path);
    free(d);
}
