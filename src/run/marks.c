/* Lines of journal.lua end in a comment "-- step N t=T" (journal.c writes them). */
#include "config.h"

#include "src/run/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/buf.h"
#include "src/base/io.h"

enum { JOURNAL_MAX = 64 << 20 };

/* False: the line is not tied to a step, or is the one that began the run. */
static bool take(char *line, struct mark *m) {
    char *comment = NULL;
    for (char *p = line; (p = strstr(p, " -- step ")); p++) comment = p;
    if (!comment || strncmp(line, "run = ", 6) == 0) return false;
    char *end;
    m->step = strtoll(comment + 9, &end, 10);
    m->t = strncmp(end, " t=", 3) == 0 ? strtod(end + 3, NULL) : 0;
    *comment = 0;
    snprintf(m->text, sizeof m->text, "%s", line);
    return m->step >= 0;
}

size_t marks_read(const char *dir, struct mark *out, size_t max) {
    char *path = io_join(dir, "journal.lua");
    struct buf b = BUF_INIT;
    size_t n = 0;
    if (io_exists(path) && io_read_file(path, JOURNAL_MAX, &b, NULL) == 0 && b.data) {
        for (char *line = b.data, *nl; line && *line && n < max; line = nl ? nl + 1 : NULL) {
            if ((nl = strchr(line, '\n'))) *nl = 0;
            if (take(line, &out[n])) n++;
        }
    }
    buf_release(&b);
    free(path);
    return n;
}
