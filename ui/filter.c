/* The keys that work on what a screen lists: / asks for its filter or search, n and N go on. What they do is the view's. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/rows.h"

/* A screen without a list of its own offers the metrics. */
void filter_open(struct ui *u) {
    const struct view_filter *f = views[u->screen]->filter;
    if (!f) {
        popup_open(u, POP_PALETTE);
        popup_paste(u, "metric ", 7);
        return;
    }
    popup_form(u, FORM_FILTER, NULL);
    snprintf(u->form_title, sizeof u->form_title, "%s", f->title);
    snprintf(u->form_info, sizeof u->form_info, "%s", f->info);
    snprintf(u->form_was, sizeof u->form_was, "%s", f->now(u));
    popup_paste(u, u->form_was, strlen(u->form_was));
}

void filter_typed(struct ui *u, bool kept) {
    const struct view_filter *f = views[u->screen]->filter;
    if (u->popup == POP_FORM && u->form == FORM_FILTER && f && f->typed) f->typed(u, kept ? u->field.text : u->form_was);
}

void filter_submit(struct ui *u) {
    const struct view_filter *f = views[u->screen]->filter;
    struct val *t = val_table();
    val_set_str(t, f->arg, u->field.text);
    popup_open(u, POP_NONE);
    ui_do(u, f->command, t, BY_KEY);
}

struct next_args {
    bool back;
};
static int find_next_run(struct call *c, const void *args, struct err *e) {
    BEGIN(next_args);
    if (views[u->screen]->next) views[u->screen]->next(u, a->back);
    return 0;
}

static const struct arg next_table[] = {{"back", "the other way", NULL, "false", ARG_BOOL, offsetof(struct next_args, back)}, {0}};
ROW(find_next, "the next match of what was searched on this screen", next_table, next_args);
