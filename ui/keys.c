/* The key table: every binding is a row whose action is a command as text; those of one screen stand beside its view. Help and
 * the palette are made from it. */
#include "config.h"

#include <string.h>

#include "ui/keymap.h"
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

bool keys_of(const struct key_row *r, const struct view *v) { return strcmp(r->screen, v->name) == 0 || (v->also && strcmp(r->screen, v->also->screen) == 0); }

const struct key_row *keys_find(const struct ui *u, const char *key) {
    const struct key_row *general = NULL;
    for (const struct key_row *r = key_rows(); r->keys; r++) {
        if (!keys_has(r, key)) continue;
        if (keys_of(r, views[u->screen])) return r;
        if (!general && strcmp(r->screen, "*") == 0) general = r;
    }
    return general;
}

void keys_footer(const struct ui *u, struct buf *out) {
    const char *text = views[u->screen]->footer, *p;
    if (hub_read_only(u->hub) && u->screen == SCR_OVERVIEW) text = " ?help :find  2 charts  5 matrix  9 log  z zoom  f freeze  q leave   read-only";
    p = strstr(text, "%s");
    if (!p) p = text + strlen(text);
    buf_add(out, text, (size_t)(p - text));
    if (*p) buf_addf(out, "%s%s", u->now.state == RUN_PAUSED ? "resume" : "pause", p + 2);
}

static const struct key_row general[] = {{"*", "p", "pause", "pause or resume", "resume"}, {"*", "l", "ask lr", "learning rate", NULL},
    {"*", "e", "evaluate", "evaluate now", NULL}, {"*", "c", "checkpoint", "save a checkpoint now", NULL},
    {"*", "s Q", "ask stop", "stop after this epoch, after this step, or now", NULL}, {"*", "m", "ask note", "write a note on the chart", NULL},
    {"*", "u", "undo", "take the last edit back", NULL}, {"*", "? F1", "help_keys", "keys of this screen; typing filters", NULL},
    {"*", ":", "palette", "find an action, screen, metric, setting; = for Lua", NULL}, {"*", "` F4", "prompt", "the Lua prompt: 8, all, 1 line", NULL},
    {"*", "q", "detach", "leave; the run goes on", NULL}, {"*", "1", "open overview", "overview", NULL},
    {"*", "2", "open metrics", "charts of all metrics", NULL}, {"*", "3", "open runs", "all runs: sort, filter, mark", NULL},
    {"*", "4", "open compare", "marked runs side by side", NULL}, {"*", "5", "open eval", "confusion matrix and classes", NULL},
    {"*", "6", "open compress", "what compression did", NULL}, {"*", "7", "open model", "layers, their values and gradients", NULL},
    {"*", "8", "open system", "cores, memory, threads, where time goes", NULL}, {"*", "9", "open log", "events and captured output", NULL},
    {"*", "0", "open settings", "settings", NULL}, {"*", "/", "ask filter", "filter or search what this screen lists", NULL},
    {"*", "n", "find_next", "next match", NULL}, {"*", "N", "find_next back=true", "match before", NULL}, {"*", "z", "zoom", "the pane alone, and back", NULL},
    {"*", "f", "freeze", "freeze the display; the run goes on", NULL}, {"*", "g", "glyphs", "next glyph set: braille, half, line, ascii", NULL},
    {"*", "M", "mouse", "mouse: clicks select, the wheel scrolls; and off", NULL},
    {"*", "y", "copy", "copy what is selected, where the setting clipboard allows it", NULL}, {"*", "C-l", "redraw", "repaint the screen", NULL},
    {"*", "Up k", "move up", "up", NULL}, {"*", "Down j", "move down", "down", NULL}, {"*", "Left h", "move left", "left", NULL},
    {"*", "Right", "move right", "right", NULL}, {"*", "PgUp", "move pgup", "a page up", NULL}, {"*", "PgDn", "move pgdn", "a page down", NULL},
    {"*", "Home", "move home", "first", NULL}, {"*", "End", "move end", "last", NULL}, {"*", "Tab", "move next", "next pane", NULL},
    {"*", "S-Tab", "move prev", "pane before", NULL}, {"*", "Enter", "enter", "open", NULL}, {"*", "Esc", "back", "back", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

enum { KEYS_MAX = 256 };

static bool own;
void ui_use_keys(void) { own = true; }

const struct key_row *key_rows(void) {
    static struct key_row all[KEYS_MAX + 1]; /* filled by the first call, before threads start */
    size_t n = 0;
    if (all[0].keys) return all;
    for (int s = 0; s < SCR_N; s++)
        for (const struct key_row *r = views[s]->keys; r && r->keys && n < KEYS_MAX; r++) all[n++] = *r;
    for (int s = 0; s < SCR_N; s++) {
        bool seen = !views[s]->also;
        for (int before = 0; before < s && !seen; before++) seen = views[before]->also == views[s]->also;
        for (const struct key_row *r = seen ? NULL : views[s]->also; r && r->keys && n < KEYS_MAX; r++) all[n++] = *r;
    }
    for (const struct key_row *r = general; r->keys && n < KEYS_MAX; r++) all[n++] = *r;
    if (own) keymap_apply(keymap_path(), all, KEYS_MAX);
    return all;
}

const struct key *ui_keys(void) {
    static struct key list[KEYS_MAX + 1];
    const struct key_row *r = key_rows();
    for (size_t i = 0; r[i].keys; i++) list[i] = (struct key){strcmp(r[i].screen, "*") == 0 ? NULL : r[i].screen, r[i].keys, r[i].command, r[i].help};
    return list;
}
