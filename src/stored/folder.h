/* Which run a command means: by name, by handle, or inside a bundle. Shared by the commands of this folder; helper thread or line mode. */
#ifndef HONE_STORED_FOLDER_H
#define HONE_STORED_FOLDER_H

#include "src/base/err.h"
#include "src/base/val.h"
#include "src/call/call.h"
#include "src/run/record.h"

struct folder { /* a run on disk */
    char *dir, *name;
    char *temporary; /* what to remove afterwards: a bundle was unpacked there; NULL */
};
/* name: of a run, or the path of a bundle, FILE or FILE:RUN where it holds several; NULL: the newest live run, else the newest. */
int folder_open(struct runs *rs, const char *name, struct folder *out, struct err *e);
void folder_close(struct folder *f);
/* An item of an argument table: a name as it is, the name behind a handle. Heap; NULL with a sentence. */
char *folder_item(struct call *c, const struct val *v, struct err *e);
/* All the runs that a command was given, at least `least`: opened in order. *n of them; release with folders_close. */
struct folder *folders_open(struct call *c, const struct val *list, size_t least, size_t *n, struct err *e);
void folders_close(struct folder *f, size_t n);

/* bundle.c: one file that holds runs without their checkpoints. */
bool bundle_is(const char *path); /* a file that begins as a bundle does */
struct shelf *bundle_shelf(const char *path, struct err *e); /* the list of what it holds */
int bundle_unpack(const char *path, const char *into, struct val *names, struct err *e); /* makes into/NAME for each run; names: a list that gets them */

/* crashed.c: runs that ended without a word and of which nothing was said yet; they are marked. crashed_tell says each as an event ("alert", "notice"). */
struct val *crashed_find(struct runs *rs);
void crashed_tell(struct runs *rs, const char *event);

extern const struct cmd cmd_export, cmd_bundle, cmd_import, cmd_diff, cmd_curves, cmd_report, cmd_rm, cmd_mv, cmd_tag, cmd_gc, cmd_crashed;

#endif
