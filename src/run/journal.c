/* journal.lua: every command and edit of a run as a runnable Lua line with its step and time. Lines are handed to the writer
 * thread; a command and the event of the same edit bring the same line, which is written once. Any thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "src/run/private.h"

void journal_put(struct run *r, const char *lua, int64_t step) {
    struct store *st = &r->st;
    if (!st->dir || st->journal.len > PENDING_MAX) return;
    if (step == st->journal_step && strncmp(lua, st->journal_last, sizeof st->journal_last - 1) == 0) return;
    snprintf(st->journal_last, sizeof st->journal_last, "%s", lua);
    st->journal_step = step;
    if (strncmp(lua, "hone.train{", 11) == 0) buf_adds(&st->journal, "run = "); /* the edits that follow say run:set(..) */
    buf_adds(&st->journal, lua);
    buf_adds(&st->journal, " --");
    if (step >= 0) buf_addf(&st->journal, " step %lld", (long long)step);
    buf_addf(&st->journal, " t=%.3f\n", run_clock(r));
    store_dirty(r->rs);
}

void run_journal(struct runs *rs, struct run *r, const char *lua, int64_t step) {
    pthread_mutex_lock(&rs->lock);
    for (size_t i = rs->n; i-- > 0 && !r;)
        if (!rs->run[i]->ended) r = rs->run[i];
    if (r) journal_put(r, lua, step);
    pthread_mutex_unlock(&rs->lock);
}
