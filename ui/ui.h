/* The dashboard: implements struct ui_port over the run record. It never blocks and touches no file; everything it does to a
 * run is a call. One instance a process, UI thread only. */
#ifndef HONE_UI_UI_H
#define HONE_UI_UI_H

#include "src/call/port.h"

struct hub;
struct ui;
void ui_use_keys(void); /* before ui_keys: the user's own keys file counts, see ui/keymap.h */
const struct key *ui_keys(void); /* the key table for help and manual; first call before threads start */
struct ui *ui_new(struct hub *h, const struct prompt_port *prompt); /* prompt: NULL or empty: none */
void ui_free(struct ui *u); /* after hub_free: calls that wait still answer to it */
const struct ui_port *ui_port(struct ui *u);

#endif
