/* The history file: one entry a line, appended under a lock when it is entered, never rewritten. Two sessions of one folder share
 * it and lose nothing; a kill loses nothing that was entered. */
#ifndef HONE_PROMPT_HISTORY_H
#define HONE_PROMPT_HISTORY_H

#include <stddef.h>

#include "src/base/err.h"

char *history_path(const char *folder); /* $XDG_STATE_HOME/hone/history-HASH; a new string, or NULL without a home */
/* Calls fn for each entry, oldest first, later doubles only; entries with control or bad bytes are left out. */
int history_load(const char *path, size_t max, void (*fn)(void *ctx, const char *entry), void *ctx, struct err *e);
int history_append(const char *path, const char *entry, struct err *e);

#endif
