/* The function-pointer structs through which ui, script, prompt and session reach each other; main joins them.
 * They see nothing else of one another. Catalogues tell the fronts what exists in the engine, as kinds. */
#ifndef HONE_CALL_PORT_H
#define HONE_CALL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "src/base/args.h"
#include "src/base/buf.h"
#include "src/call/call.h"

/* A Lua namespace of constructors: "nn", "optim", "sched", "loss" ... -> tables {nn="linear", out=10}. Without a tag: names that help tells about, no more. */
struct catalog {
    const char *group; /* "nn" */
    const char *tag; /* field that holds the kind's name in the value: "layer", "optim", "sched" */
    const struct kind *const *kinds; /* NULL-terminated */
};

/* A key binding: the command is a line as typed in the palette. screen: NULL everywhere, else a view's name. */
struct key {
    const char *screen, *keys, *command, *help; /* keys: "t", "C-l", "F1"; the list ends with keys == NULL */
};

/* What the prompt shows, for the drawer: copied out under no lock, UI thread only. */
struct prompt_view {
    const char *prompt; /* "> " or ">> " or "(reverse-i-search)`x': " */
    const char *line; /* UTF-8, may hold newlines */
    size_t cursor; /* byte offset into line */
    const char *const *out; /* the last output lines, already through the text sink */
    size_t n_out;
    size_t first; /* lines that came before out[0] and are kept no more: what counts lines counts from the first that ever came */
    size_t since, ended; /* the line with which the last evaluation began; how many have ended */
    const char *const *choices; /* completion candidates to show, or NULL */
    size_t n_choices;
    bool busy; /* an evaluation is running */
    size_t ahead; /* blocks that were entered meanwhile and wait for it */
    bool searching; /* keys are those of a search in the history, not of the line */
};
enum working { WORKING_NONE, WORKING_LINE, WORKING_SCRIPT }; /* what is evaluated: nothing, a line or config.lua, a script */
struct prompt_port { /* implemented by src/prompt, used by ui; UI thread only */
    void *ctx;
    void (*key)(void *ctx, const char *bytes, size_t n); /* one whole key or character */
    void (*paste)(void *ctx, const char *text, size_t n);
    void (*size)(void *ctx, int rows, int cols);
    void (*view)(void *ctx, struct prompt_view *out);
    bool (*poll)(void *ctx); /* takes replies and output; true: redraw */
    enum working (*working)(void *ctx);
    bool (*wants_editor)(void *ctx, struct buf *block); /* Ctrl-X Ctrl-E was pressed: the block goes to an editor */
    void (*edited)(void *ctx, const char *text, size_t n); /* and comes back; nothing runs */
};
struct script_port { /* implemented by src/script, used by prompt, session, main; any thread unless said */
    void *ctx;
    /* reply: receives struct script_reply, freed by the getter with reply_free */
    int (*eval)(void *ctx, const char *text, size_t n, const char *chunk, struct queue *reply, void *tag, struct err *e);
    void (*interrupt)(void *ctx);
    bool (*busy)(void *ctx);
    bool (*scripted)(void *ctx); /* a script file is among what it is busy with */
    /* completion: candidates for the word that ends at `pos`; synchronous, bounded to 50 ms; result list of strings, or NULL */
    struct val *(*complete)(void *ctx, const char *line, size_t pos);
};
struct script_reply {
    void *tag;
    bool output; /* a piece of output (print) while running; otherwise the end */
    bool incomplete; /* the text ends too early: ask for another line */
    int status; /* of the end: 0, or -1: text is the error */
    char *text; /* heap */
};
static inline void reply_free(struct script_reply *r) {
    free(r->text);
    free(r);
}

/* One attached dashboard: implemented by ui, used by src/session; UI thread only. */
struct term_info {
    const char *term, *codeset, *colors; /* $TERM, "UTF-8", "auto|256|16|8|none" */
    const char *glyphs; /* "auto|braille|half|line|ascii" */
    int rows, cols;
    bool no_color;
    int budget; /* bytes a second, 0: none */
};
struct ui_port {
    void *ctx;
    int (*attach)(void *ctx, const struct term_info *t, struct err *e); /* replaces the one before */
    void (*detach)(void *ctx);
    void (*input)(void *ctx, const char *bytes, size_t n);
    void (*resize)(void *ctx, int rows, int cols);
    /* Appends the bytes of the next frame; 0: nothing to draw. Called only when the client has taken the one before. */
    int (*frame)(void *ctx, struct buf *out);
    int (*timeout)(void *ctx); /* ms until it wants to draw or act; -1: only on an event */
    bool (*wants_detach)(void *ctx); /* q was pressed */
    bool (*wants_editor)(void *ctx, struct buf *text); /* once: the prompt's block goes to the user's editor */
    void (*edited)(void *ctx, const char *text, size_t n); /* what came back */
    void (*last_screen)(void *ctx, struct buf *out); /* plain text of the screen, printed below the shell's prompt after detach */
};

#endif
