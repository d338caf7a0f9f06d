/* Frozen layers: no gradient is made for their parameters, and the optimiser keeps no state for them. Changing the list builds the step again; the state of
 * all other parameters stays, and what is trained again begins with fresh state. Engine thread, at a boundary. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "engine/train/train.h"
#include "src/base/mem.h"

static int mark(struct train *t, const struct val *patterns, struct err *e) {
    struct model *m = t->model;
    struct optim_param *p = X_NEW(struct optim_param, (size_t)m->n_param + 1);
    bool *hit = X_NEW(bool, (size_t)m->n_param + 1);
    int left = 0, all = 0;
    for (int i = 0; i < m->n_param; i++) p[i] = (struct optim_param){.name = m->param[i].name, .ndim = m->param[i].ndim, .len = m->param[i].len};
    int rc = optim_match_list(patterns, "freeze", p, m->n_param, hit, e);
    for (int i = 0; rc == 0 && i < m->n_param; i++) {
        all += m->param[i].trainable;
        left += m->param[i].trainable && !hit[i];
    }
    if (rc == 0 && left == 0 && all > 0)
        rc = err_code(e, ERR_USAGE, "freeze: all %d trainable parameters would be frozen, so there would be nothing to train; leave out a layer", all);
    for (int i = 0; rc == 0 && i < m->n_param; i++) m->param[i].frozen = hit[i];
    free(hit);
    free(p);
    return rc;
}

int train_freeze(struct train *t, const struct val *patterns, struct err *e) {
    if (mark(t, patterns, e) < 0) return -1;
    struct val *old = t->freeze;
    t->freeze = patterns && patterns->type != VAL_NIL ? val_copy(patterns) : val_list();
    val_free(old);
    return 0;
}

int train_freeze_set(struct train *t, const struct val *patterns, struct err *e) {
    struct val *old = val_copy(t->freeze);
    int rc = train_freeze(t, patterns, e);
    if (rc == 0 && (rc = train_build_step(t, e)) < 0) train_freeze(t, old, NULL);
    val_free(old);
    return rc;
}

void train_freeze_end(struct train *t) {
    for (int i = 0; i < t->model->n_param; i++) t->model->param[i].frozen = false;
    val_free(t->freeze);
    t->freeze = NULL;
}
