/* The prompt's drawer: its line, candidates, output. Shared by drawer.c, pager.c, input.c; UI thread. */
#ifndef HONE_UI_DRAWER_H
#define HONE_UI_DRAWER_H

#include "ui/private.h"

int drawer_rows(const struct ui *u, int rows); /* how many of a screen's it takes, its rule among them; 0: closed */
void drawer_draw(struct ui *u, struct grid *g);
void drawer_footer(const struct ui *u, struct buf *out);
void drawer_key(struct ui *u, const struct tkey *k);
void drawer_text(struct ui *u, const char *text, size_t n); /* many characters at once, as a paste */
void drawer_poll(struct ui *u); /* what was said since the last time; sets dirty */
void drawer_wheel(struct ui *u, int rows);

/* pager.c */
void pager_draw(struct ui *u, struct grid *g, const struct prompt_view *v, int top, int rows); /* and on the rule above what is hidden */
void pager_footer(const struct ui *u, struct buf *out);
bool pager_key(struct ui *u, const struct prompt_view *v, const struct tkey *k); /* true: taken */
void pager_offer(struct ui *u, const struct prompt_view *v); /* opens where an evaluation that has ended said more than a screen */
void pager_close(struct ui *u);

#endif
