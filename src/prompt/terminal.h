/* The prompt on a terminal of its own, for line mode: readline reads standard input and draws the line, the caller's loop polls. The keys, history
 * and completion of the drawer. Main thread only; where standard input is no terminal it is not used. */
#ifndef HONE_PROMPT_TERMINAL_H
#define HONE_PROMPT_TERMINAL_H

#include "src/call/port.h"

struct terminal_ways { /* of the caller */
    void *ctx;
    bool (*whole)(void *ctx, const char *text, size_t n); /* false: Enter goes on with the block */
};

/* history: its file, NULL: none. script: borrowed, may be filled in later. */
void terminal_open(const struct script_port *script, const char *history, const struct terminal_ways *ways);
void terminal_close(void);
void terminal_ask(void); /* shows the prompt, unless it is shown */
/* Standard input is readable: the block if Enter took it, a new string, else NULL; *end: there will be no more. */
char *terminal_read(bool *end);
void terminal_hide(void); /* before something else is printed; shown again by terminal_ask */
void terminal_interrupt(void); /* a signal: drops the block, as Ctrl-C does, which is a key here */
bool terminal_wants_editor(struct buf *block); /* Ctrl-X Ctrl-E was pressed: the terminal is the editor's until the next terminal_ask */
void terminal_edited(const char *text, size_t n); /* what the next terminal_ask begins with */
void terminal_remember(const char *text);

#endif
