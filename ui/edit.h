/* The forms that edit a property of the run or of hone; what they show before the edit is made. UI thread. */
#ifndef HONE_UI_EDIT_H
#define HONE_UI_EDIT_H

#include "ui/private.h"

void edit_open(struct ui *u); /* after the form was opened */
void edit_changed(struct ui *u); /* after its field */
bool edit_submit(struct ui *u); /* true: the form is done */
int edit_rows(const struct ui *u, int rows); /* what it wants to draw of itself on a screen of so many rows */
void edit_draw(const struct ui *u, struct grid *g, struct rect r);
void edit_props(struct ui *u); /* asks for u->props */
const struct val *edit_prop(const struct ui *u, const char *name); /* NULL: not known (yet) */
void edit_about(const struct val *prop, struct buf *b); /* "0.25; 0 to 0.999; at once" */

#endif
