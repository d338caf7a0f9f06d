/* Runs whose process ended without a word (kill -9, a crash, a power cut): the next start says what each lost and how it goes on, once. That it was said stands
 * in run.json, whose state is "crashed" from then on. Helper thread or line mode. */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/run/store.h"
#include "src/stored/folder.h"
#include "src/stored/shelf.h"

enum { SAID_ONE_BY_ONE = 3 };

/* Step of the newest checkpoint that was committed; -1: none. */
static int64_t saved_step(const char *dir) {
    char *ckpt = io_join(dir, "ckpt");
    DIR *d = opendir(ckpt);
    int64_t best = -1;
    for (struct dirent *de; d && (de = readdir(d));) {
        char *end, *folder = io_join(ckpt, de->d_name), *commit = io_join(folder, "commit");
        long long step = strtoll(de->d_name, &end, 10);
        if (end != de->d_name && (*end == 0 || *end == '.') && step > best && io_exists(commit)) best = step; /* STEP, STEP.2 after a branch back */
        free(commit);
        free(folder);
    }
    if (d) closedir(d);
    free(ckpt);
    return best;
}

/* Writes the state into run.json, with what metrics.bin knows besides; only the process that gets the run's lock does. False: it was done before, or cannot
 * be. */
static bool mark(const char *dir, int64_t step, int64_t saved) {
    char *path = io_join(dir, "run.json");
    int fd = store_own(dir);
    bool done = false;
    struct val *was = fd >= 0 ? store_read_meta(dir, NULL) : NULL;
    bool ours = fd >= 0 && (was ? strcmp(val_get_str(was, "state", ""), "crashed") != 0 : !io_exists(path));
    struct val *v = ours ? was ? store_describe(dir, NULL) : val_table() : NULL; /* without run.json it had just begun */
    if (v) {
        struct val *lost = val_table();
        val_set_int(lost, "step", step);
        val_set_int(lost, "saved", saved);
        if (!was) val_set_str(v, "run", strrchr(dir, '/') ? strrchr(dir, '/') + 1 : dir);
        val_set_str(v, "state", "crashed");
        val_set(v, "crashed", lost);
        done = store_meta(dir, v, NULL) == 0;
    }
    val_free(v);
    val_free(was);
    if (fd >= 0) close(fd);
    free(path);
    return done;
}

/* What to do comes first: a banner of 80 columns has room for that. */
static struct val *describe(const char *name, int64_t step, int64_t saved) {
    struct val *t = val_table();
    char text[400];
    if (saved >= 0)
        snprintf(text, sizeof text, "%.63s crashed: hone train resume=%.63s goes on from step %lld; it had done step %lld, so %lld %s lost", name, name,
            (long long)saved, (long long)step, (long long)(step - saved), step - saved == 1 ? "is" : "are");
    else
        snprintf(
            text, sizeof text, "%.63s crashed: hone rerun %.63s begins anew; it had done step %lld, before its first checkpoint", name, name, (long long)step);
    val_set_str(t, "run", name);
    val_set_int(t, "step", step);
    val_set_int(t, "saved", saved);
    val_set_str(t, "text", text);
    return t;
}

struct val *crashed_find(struct runs *rs) {
    struct val *list = val_list();
    struct shelf *s = runs_dir(rs) ? runs_shelf_read(rs, NULL) : NULL;
    for (size_t i = 0; s && i < s->n; i++) {
        const struct shelf_run *r = s->run[i];
        if (r->state != RUN_CRASHED) continue;
        char *dir = io_join(runs_dir(rs), r->name);
        int64_t saved = saved_step(dir), step = r->step > saved ? r->step : saved;
        if (mark(dir, step, saved)) val_push(list, describe(r->name, step, saved));
        free(dir);
    }
    shelf_unref(s);
    return list;
}

void crashed_tell(struct runs *rs, const char *event) {
    struct val *list = crashed_find(rs);
    size_t n = val_len(list);
    for (size_t i = n > SAID_ONE_BY_ONE ? n - SAID_ONE_BY_ONE : 0; i < n; i++) {
        struct val *f = val_table();
        struct buf b = BUF_INIT;
        buf_adds(&b, val_get_str(val_at(list, i), "text", ""));
        if (i + 1 == n && n > SAID_ONE_BY_ONE) buf_addf(&b, " (and %zu runs before; hone ls)", n - SAID_ONE_BY_ONE);
        val_set_str(f, "level", "warn");
        val_set_str(f, "text", b.data);
        runs_event(rs, event, f);
        buf_release(&b);
    }
    val_free(list);
}

struct crashed_args {
    bool tell;
};

static int crashed_run(struct call *c, const void *args, struct err *e) {
    const struct crashed_args *a = args;
    (void)e;
    if (a->tell) crashed_tell(hub_runs(c->hub), "alert");
    else call_result(c, crashed_find(hub_runs(c->hub)));
    return 0;
}

static const struct arg crashed_table[] = {{"tell", "as an alert instead of a list", NULL, "false", ARG_BOOL, offsetof(struct crashed_args, tell)}, {0}};
const struct cmd cmd_crashed = {{"crashed", "runs that ended without a word since the last look, what each lost and how it goes on", "hone.crashed{}",
                                    crashed_table, sizeof(struct crashed_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING, crashed_run, NULL};
