/* Charts of the current run: how they look, and the keys that change it, shared by the screens that show them. UI thread. */
#ifndef HONE_UI_CHART_H
#define HONE_UI_CHART_H

#include "ui/private.h"

enum { CHART_SERIES = 4 };

void chart_look(struct ui *u); /* takes over what the settings say */
void chart_whole(struct ui *u); /* no window */
void chart_free(struct ui *u);
int chart_set(struct ui *u, const char *name, struct val *v_take, struct err *e); /* a setting chart_*, at once */
int chart_metric(const struct ui *u, const char *name); /* -1: none */

extern const struct key_row chart_keys[]; /* of every screen with charts */

#endif
