/* A growing list of token ids. */
#ifndef HONE_DATASETS_TEXT_IDS_H
#define HONE_DATASETS_TEXT_IDS_H

#include <stdint.h>

#include "src/base/mem.h"

struct ids {
    int32_t *p;
    int64_t n, cap;
};
static inline void ids_reserve(struct ids *d, int64_t extra) {
    if (d->cap - d->n >= extra) return;
    d->cap = d->cap + d->cap / 2 + extra + 256;
    d->p = X_GROW(d->p, int32_t, (size_t)d->cap);
}

#endif
