/* From what people write to a call's arguments; shared by call.c, parse.c, cmds.c. */
#ifndef HONE_CALL_PARSE_H
#define HONE_CALL_PARSE_H

#include "src/call/call.h"

struct val *parse_unknown(struct hub *h, const char *name, struct err *e); /* always NULL, with the nearest command in the sentence */
void parse_resolve(struct hub *h, const struct kind *k, struct val *args); /* run names to handles, {lr=1} to {name=, value=}; in place */
bool parse_is_property(struct hub *h, const char *name); /* of the settings or of any catalogue's live arguments */
/* Why a property cannot be had: the value is out of its range (v NULL: any will do), it is one of a run (job: its name, NULL: nothing runs), or there is
 * none of that name, with the nearest. Always -1. */
int parse_no_property(struct hub *h, const char *who, const char *name, const struct val *v, const char *job, struct err *e);
/* The nearest property, or NULL. more: further names, may be NULL. */
const char *parse_nearest_property(struct hub *h, const char *wrong, const char *const *more, size_t n_more);

#endif
