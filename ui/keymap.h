/* Keys of the user's own: a file that binds keys to commands, read before the key table is first used. UI thread.
 *
 *     # screen  key   command
 *     *         C-p   palette
 *     metrics   x     axis
 *     *         g     -            takes the key away
 *
 * A line of the file comes before hone's own binding of that key. What cannot hold is said at start: lines that are no binding, two lines for one key,
 * a key of all screens that a screen has for itself, commands that lost their last key. */
#ifndef HONE_UI_KEYMAP_H
#define HONE_UI_KEYMAP_H

#include "ui/private.h"

struct runs;
/* Applies the file to rows (at most max, ended by a row without keys); path NULL or no such file: nothing happens. */
void keymap_apply(const char *path, struct key_row *rows, size_t max);
const char *keymap_path(void); /* of the file in use, or where it would lie; NULL: no place for it */
int keymap_count(void); /* bindings taken from it */
int keymap_problems(void);
void keymap_report(struct ui *u); /* the problems as warnings in the log, also commands that are none */

#endif
