/* The key table: every binding is a row whose action is a command as text. Help, footer and the palette are made from it. */
#include "config.h"

#include <string.h>

#include "ui/private.h"

/* A row's keys are separated by blanks. */
bool keys_has(const struct key_row *r, const char *key) {
    size_t n = strlen(key);
    for (const char *p = r->keys; p && *p;) {
        size_t len = strcspn(p, " ");
        if (len == n && strncmp(p, key, n) == 0) return true;
        p += len;
        p += *p == ' ';
    }
    return false;
}

const struct key_row *keys_find(const struct ui *u, const char *key) {
    const struct key_row *general = NULL;
    for (const struct key_row *r = key_rows; r->keys; r++) {
        if (!keys_has(r, key)) continue;
        if (strcmp(r->screen, views[u->screen]->name) == 0) return r;
        if (!general && strcmp(r->screen, "*") == 0) general = r;
    }
    return general;
}

void keys_footer(const struct ui *u, struct buf *out) {
    bool paused = u->now.state == RUN_PAUSED;
    switch (u->screen) {
    case SCR_OVERVIEW: buf_addf(out, " ?help :cmd  p %s  l lr  c ckpt  e eval  s stop..  `prompt  q detach", paused ? "resume" : "pause"); break;
    case SCR_METRICS: buf_adds(out, " ?help :cmd  arrows  z zoom  + - smooth  L log  o outliers  1 overview  q detach"); break;
    case SCR_EVAL: buf_adds(out, " ?help :cmd  arrows  t counts/row%/col%  e eval  1 overview  q detach"); break;
    case SCR_LOG: buf_adds(out, " ?help :cmd  arrows  / find  n N next  End follow  1 overview  q detach"); break;
    default: buf_adds(out, " ?help :cmd  arrows  Enter change  1 overview  q detach"); break;
    }
}

const struct key_row key_rows[] = {{"overview", "Tab", "move next", "the next metric in the chart", NULL}, {"metrics", "+", "smooth up", "smooth more", NULL},
    {"metrics", "-", "smooth down", "smooth less", NULL}, {"metrics", "L", "axis", "logarithmic y axis on and off", NULL},
    {"metrics", "o", "outliers", "y range holds every outlier, or the middle", NULL},
    {"eval", "t", "matrix", "counts, share of the row, share of the column", NULL}, {"log", "/", "ask find", "find text in the log", NULL},
    {"log", "n", "find_next", "next match upwards", NULL}, {"log", "N", "find_next back=true", "next match downwards", NULL},
    {"*", "1", "open overview", "overview", NULL}, {"*", "2", "open metrics", "charts of all metrics", NULL},
    {"*", "5", "open eval", "confusion matrix and classes", NULL}, {"*", "9", "open log", "events and captured output", NULL},
    {"*", "0", "open settings", "settings", NULL}, {"*", "? F1", "help_keys", "keys of this screen; typing filters", NULL},
    {"*", ":", "palette", "find an action, screen, metric, setting; = for Lua", NULL}, {"*", "` F4", "prompt", "the Lua prompt: 8, all, 1 line", NULL},
    {"*", "p", "pause", "pause or resume", "resume"}, {"*", "l", "ask lr", "learning rate", NULL}, {"*", "c", "checkpoint", "save a checkpoint now", NULL},
    {"*", "e", "evaluate", "evaluate now", NULL}, {"*", "s Q", "ask stop", "stop: after the epoch, after this step, now", NULL},
    {"*", "m", "ask note", "write a note on the chart", NULL}, {"*", "u", "undo", "take the last edit back", NULL},
    {"*", "z", "zoom", "the pane alone, and back", NULL}, {"*", "f", "freeze", "freeze the display; the run goes on", NULL},
    {"*", "g", "glyphs", "next glyph set: braille, half, line, ascii", NULL}, {"*", "C-l", "redraw", "repaint the screen", NULL},
    {"*", "q", "detach", "leave; the run goes on", NULL}, {"*", "Up k", "move up", "up", NULL}, {"*", "Down j", "move down", "down", NULL},
    {"*", "Left h", "move left", "left", NULL}, {"*", "Right", "move right", "right", NULL}, {"*", "PgUp", "move pgup", "a page up", NULL},
    {"*", "PgDn", "move pgdn", "a page down", NULL}, {"*", "Home", "move home", "first", NULL}, {"*", "End", "move end", "last", NULL},
    {"*", "Tab", "move next", "next pane", NULL}, {"*", "S-Tab", "move prev", "pane before", NULL}, {"*", "Enter", "enter", "open", NULL},
    {"*", "Esc", "back", "back", NULL}, {NULL, NULL, NULL, NULL, NULL}};

const struct key *ui_keys(void) {
    static struct key list[LEN(key_rows)];
    for (size_t i = 0; key_rows[i].keys; i++)
        list[i] = (struct key){strcmp(key_rows[i].screen, "*") == 0 ? NULL : key_rows[i].screen, key_rows[i].keys, key_rows[i].command, key_rows[i].help};
    return list;
}
