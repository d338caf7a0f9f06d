/* Line mode: the same record as the dashboard, one line an event or interval, or one JSON object a line. No cursor movement,
 * no escapes (but one carriage return a bar, if asked). Used by main and tests from one thread. */
#ifndef HONE_UI_PLAIN_H
#define HONE_UI_PLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "src/base/err.h"
#include "src/base/val.h"
#include "src/run/record.h"

enum plain_mode { PLAIN_TEXT, PLAIN_JSON, PLAIN_QUIET };
struct plain;
/* out: results (in JSON mode everything); notes: progress and notices. bar: notes is a terminal, progress is one line redrawn. ascii: not a UTF-8 codeset. */
struct plain *plain_new(struct runs *rs, enum plain_mode mode, FILE *out, FILE *notes, bool bar, bool ascii);
void plain_free(struct plain *p); /* prints what is left */
int plain_fd(const struct plain *p); /* readable: call plain_step; also call it at least once a second for progress */
void plain_at_prompt(
    struct plain *p, void (*before)(void)); /* a line is edited on this terminal: no bar; before: called before anything is printed. NULL: no more */
void plain_step(struct plain *p); /* prints what is new; never waits for a run */
void plain_event(struct plain *p, const struct val *event); /* one event that came from elsewhere (a session's stream) */
void plain_value(struct plain *p, const char *cmd, const struct val *v); /* the answer of a command; NULL or nil: nothing */
void plain_error(struct plain *p, const struct err *e);
bool plain_broken(const struct plain *p); /* stdout is closed or full: there is nobody to print for */

#endif
