/* What both prompts are made of: readline's keys, blocks of several lines, the project's history, completion. The drawer (prompt.c) draws what
 * readline holds and feeds it keys; on a terminal of its own (terminal.c) readline reads and draws. readline keeps its state in globals: one prompt a
 * process, UI thread only. */
#ifndef HONE_PROMPT_BLOCK_H
#define HONE_PROMPT_BLOCK_H

#include <stdbool.h>
#include <stdio.h>

#include "src/call/port.h"

struct block_face { /* what differs */
    void (*changed)(void); /* the line was changed behind readline's back */
    void (*choices)(const struct val *names); /* more than one candidate for the word before the cursor */
    bool (*enter)(void); /* Enter: true takes the block */
    void (*editor)(void); /* the block is wanted in an editor */
};

/* own: readline reads and draws on in and out; else it is dumb, and nothing is printed. script: borrowed, may be filled in later. history: NULL: none
 * is kept. */
void block_open(const struct script_port *script, const char *history, const struct block_face *face, bool own, FILE *in, FILE *out);
void block_close(void);
void block_remember(const char *text); /* on disk at once */
void block_paste(const char *text, size_t n); /* as one block; control characters are dropped. Not UTF-8: nothing is inserted */
bool block_blank(const char *s);

#endif
