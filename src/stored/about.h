/* What people say about a run, in about.json of its folder: {"tags": [..], "notes": [{"time", "text"}..]}. A file of its own, so that the run's
 * writer and whoever tags it never write the same one. */
#ifndef HONE_STORED_ABOUT_H
#define HONE_STORED_ABOUT_H

#include "src/base/err.h"
#include "src/base/val.h"

struct val *about_read(const char *dir); /* a table, empty where there is none or it cannot be read */
int about_tag(const char *dir, const char *tag, bool on, struct err *e);
int about_note(const char *dir, const char *text, struct err *e);
bool about_tag_ok(const char *tag); /* a word of letters, digits and _: so that tag.NAME reads in a predicate */

#endif
