/* Help and manual tables: everything is derived from the rows of commands, catalogues, settings and keys. */
#ifndef HONE_CALL_HELP_H
#define HONE_CALL_HELP_H

#include "src/call/call.h"

/* topic NULL or "": the list of commands. Else a command, a kind ("linear", "nn.linear"), a group ("nn"), a property, "properties", "keys". */
int help_topic(struct hub *h, const char *topic, struct buf *out, struct err *e);

void help_words(struct hub *h, const struct cmd *c, struct buf *out); /* a command's name as it is typed: "data fetch" of data_fetch */

void help_fold(struct buf *out, size_t start); /* lines from there on, to 79 columns */

enum help_manual { MAN_LINE, MAN_COMMANDS, MAN_KINDS, MAN_PROPERTIES, MAN_KEYS, MAN_N };
extern const char *const help_manual_names[MAN_N + 1]; /* line commands kinds properties keys, NULL */
/* One part of a manual page in man(7) macros, without heading: commands of the command line, all commands as Lua functions, ... */
void help_manual(struct hub *h, enum help_manual part, struct buf *out);

/* Commands, constructors and properties whose name or help holds the text, a line each; -1: none, with a sentence. */
int help_find(struct hub *h, const char *text, struct buf *out, struct err *e);

#endif
