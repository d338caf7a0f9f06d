/* Arguments as people read them. */
#ifndef HONE_BASE_ARGS_TEXT_H
#define HONE_BASE_ARGS_TEXT_H

#include "src/base/args.h"

/* Its help, then what is allowed where its type says something, its unit and default. */
void args_about(struct buf *b, const struct arg *a);

#endif
