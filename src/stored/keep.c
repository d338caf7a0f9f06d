/* Commands that keep the folder of runs in order: rm, mv, tag, gc. None touches a run that a process holds (its lock tells), but for tags. What would
 * be lost is said first; it goes with yes=true. Helper thread or line mode. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/stored/about.h"
#include "src/stored/folder.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"

static void bytes_text(struct buf *b, int64_t n) {
    if (n < 10000) buf_addf(b, "%lld bytes", (long long)n);
    else if (n < 10000000) buf_addf(b, "%lld kB", (long long)(n / 1000));
    else buf_addf(b, "%lld MB", (long long)(n / 1000000));
}

/* A stored run that may be changed: of this folder, not inside a bundle, held by no process. */
static int own_run(const struct call *c, const struct folder *f, struct err *e) {
    if (f->temporary) return err_set(e, "%s: %s lies in a bundle, which is read only; hone import unpacks it", c->cmd->kind.name, f->name);
    if (!store_alive(f->dir)) return 0;
    return err_set(e, "%s: %s is held by a process that runs: hone stop ends the run, hone shutdown its session", c->cmd->kind.name, f->name);
}

/* ---- rm ---- */

struct rm_args {
    struct val *runs;
    bool yes;
};

static int rm_run(struct call *c, const void *args, struct err *e) {
    const struct rm_args *a = args;
    size_t n = 0;
    int64_t bytes = 0;
    struct buf names = BUF_INIT;
    if (!val_len(a->runs)) return err_code(e, ERR_USAGE, "rm needs the names of runs; hone ls lists them");
    struct folder *f = folders_open(c, a->runs, 1, &n, e);
    int rc = f ? 0 : -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = own_run(c, &f[i], e);
        if (rc != 0) break;
        struct shelf_row *r = row_read(f[i].dir, f[i].name);
        bytes += row_run(r)->bytes;
        if (names.len < 300) buf_addf(&names, "%s%s", i ? ", " : "", f[i].name);
        row_unref(r);
    }
    buf_addf(&names, " (");
    bytes_text(&names, bytes);
    if (rc == 0 && !a->yes) rc = err_code(e, ERR_USAGE, "rm: this deletes %s) for good; add yes=true (--yes) if you mean it", names.data);
    for (size_t i = 0; i < n && rc == 0; i++) rc = io_remove_tree(f[i].dir, e);
    if (rc == 0) {
        struct val *v = val_table();
        struct buf text = BUF_INIT;
        buf_addf(&text, "deleted %s)", names.data);
        val_set_str(v, "text", text.data);
        val_set_int(v, "runs", (int64_t)n);
        val_set_int(v, "bytes", bytes);
        call_result(c, v);
        buf_release(&text);
    }
    buf_release(&names);
    folders_close(f, n);
    return rc;
}

/* ---- mv ---- */

struct mv_args {
    struct val *run;
    char *to;
};

/* run.json says the name as well; that it is written second does no harm, as readers go by the folder. */
static int rename_meta(const char *dir, const char *name, struct err *e) {
    struct val *v = store_read_meta(dir, NULL);
    if (!v) return 0;
    val_set_str(v, "run", name);
    int rc = store_meta(dir, v, e);
    val_free(v);
    return rc;
}

static int mv_run(struct call *c, const void *args, struct err *e) {
    const struct mv_args *a = args;
    struct folder f;
    char *name = folder_item(c, a->run, e);
    int rc = !name ? -1 : folder_open(hub_runs(c->hub), name, &f, e);
    free(name);
    if (rc != 0) return -1;
    rc = own_run(c, &f, e);
    if (rc == 0 && (!store_name_ok(a->to) || strpbrk(a->to, " \t\"'\\") || strcmp(a->to, "best") == 0 || strcmp(a->to, "previous") == 0))
        rc = err_code(e, ERR_USAGE,
            "mv: \"%.100s\" cannot be the name of a run: up to 63 characters without blanks, quotes and slashes, not beginning with . or -", a->to);
    char *to = rc == 0 ? io_join(runs_dir(hub_runs(c->hub)), a->to) : NULL;
    /* an empty folder takes the name first, so that nothing that is there is replaced: rename takes the place of an empty folder only */
    if (rc == 0 && mkdir(to, 0777) != 0) rc = errno == EEXIST ? err_set(e, "mv: there is a run named %s already", a->to) : err_sys(e, "make", to);
    else if (rc == 0 && rename(f.dir, to) != 0) {
        rc = err_sys(e, "rename", f.dir);
        io_remove_tree(to, NULL);
    }
    if (rc == 0) rc = rename_meta(to, a->to, e);
    free(to);
    folder_close(&f);
    return rc;
}

/* ---- tag ---- */

struct tag_args {
    struct val *run;
    char *tag, *note;
    bool remove;
};

/* Only one run of the folder is the baseline. */
static void baseline_moves(struct runs *rs, const char *keep) {
    struct shelf *s = runs_shelf_read(rs, NULL);
    for (size_t i = 0; s && i < s->n; i++) {
        if (!shelf_tagged(s->run[i], "baseline") || strcmp(s->run[i]->name, keep) == 0) continue;
        char *dir = io_join(runs_dir(rs), s->run[i]->name);
        about_tag(dir, "baseline", false, NULL);
        free(dir);
    }
    shelf_unref(s);
}

static int tag_run(struct call *c, const void *args, struct err *e) {
    const struct tag_args *a = args;
    struct folder f;
    if (a->tag && !about_tag_ok(a->tag))
        return err_code(e, ERR_USAGE, "tag: \"%.100s\" is no tag: up to 40 letters, digits and underscores, not beginning with a digit", a->tag);
    char *name = folder_item(c, a->run, e);
    int rc = !name ? -1 : folder_open(hub_runs(c->hub), name, &f, e);
    free(name);
    if (rc != 0) return -1;
    if (f.temporary) rc = own_run(c, &f, e);
    if (rc == 0 && a->tag) rc = about_tag(f.dir, a->tag, !a->remove, e);
    if (rc == 0 && a->tag && !a->remove && strcmp(a->tag, "baseline") == 0) baseline_moves(hub_runs(c->hub), f.name);
    if (rc == 0 && a->note) rc = about_note(f.dir, a->note, e);
    if (rc == 0 && !a->tag && !a->note) call_result(c, about_read(f.dir));
    folder_close(&f);
    return rc;
}

/* ---- gc ---- */

struct gc_args {
    bool dry_run, yes;
};
struct garbage {
    struct val *list; /* {path, why, bytes} */
    int64_t bytes;
};

static void garbage_add(struct garbage *g, const char *path, const char *why) {
    struct val *t = val_table();
    int64_t bytes = tree_bytes(path, 4);
    val_set_str(t, "path", path);
    val_set_str(t, "why", why);
    val_set_int(t, "bytes", bytes);
    g->bytes += bytes;
    val_push(g->list, t);
}

/* The step at which the run was best, by the first of these metrics that it has; -1: none of them. */
static int64_t best_step(const struct shelf_run *r) {
    static const char *const by[] = {"val_acc", "val_loss", "acc", "loss"};
    for (size_t i = 0; i < LEN(by); i++) {
        int64_t step = -1;
        const struct metric_ends *m = shelf_metric(r, by[i]);
        if (m && m->ends.count) {
            shelf_best(m, &step);
            return step;
        }
    }
    return -1;
}

static int by_step(const void *a, const void *b) { return *(const int64_t *)a < *(const int64_t *)b ? -1 : *(const int64_t *)a > *(const int64_t *)b; }

/* Of the checkpoints the newest stays and the one nearest to the best step; what an interrupted save left has a name with a dot. */
static void gc_checkpoints(struct garbage *g, const char *dir, const struct shelf_run *r) {
    enum { STEPS = 4096 };
    char *ckpt = io_join(dir, "ckpt");
    int64_t *step = X_NEW(int64_t, STEPS), best = best_step(r), keep = -1;
    size_t n = 0;
    DIR *d = opendir(ckpt);
    for (struct dirent *de; d && (de = readdir(d));) {
        char *end, *path = io_join(ckpt, de->d_name);
        long long s = strtoll(de->d_name, &end, 10);
        if (de->d_name[0] == '.' && strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0) garbage_add(g, path, "a save that was interrupted");
        else if (*end == 0 && end != de->d_name && n < STEPS) step[n++] = s;
        free(path);
    }
    if (d) closedir(d);
    if (n) qsort(step, n, sizeof *step, by_step);
    for (size_t i = 0; i < n; i++)
        if (keep < 0 || llabs(step[i] - best) < llabs(keep - best)) keep = step[i];
    for (size_t i = 0; i + 1 < n && best >= 0; i++) {
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)step[i]);
        char *path = io_join(ckpt, name);
        if (step[i] != keep) garbage_add(g, path, "a checkpoint that is neither the best nor the last");
        free(path);
    }
    free(step);
    free(ckpt);
}

static void gc_one(struct garbage *g, const char *dir, const struct shelf_run *r) {
    bool ended_badly = r->state == RUN_FAILED || r->state == RUN_CRASHED;
    char *ckpt = io_join(dir, "ckpt");
    if (ended_badly && !r->n_metric && r->step <= 0 && !io_exists(ckpt) && !r->n_tag) garbage_add(g, dir, "a run that failed before its first step");
    else gc_checkpoints(g, dir, r);
    free(ckpt);
}

static int gc_run(struct call *c, const void *args, struct err *e) {
    const struct gc_args *a = args;
    struct runs *rs = hub_runs(c->hub);
    if (!runs_dir(rs)) return err_set(e, "runs are not kept on disk here, so there is nothing to clean up");
    struct shelf *s = runs_shelf_read(rs, e);
    if (!s) return -1;
    struct garbage g = {.list = val_list()};
    for (size_t i = 0; i < s->n; i++) {
        char *dir = io_join(runs_dir(rs), s->run[i]->name);
        if (!store_alive(dir)) gc_one(&g, dir, s->run[i]);
        free(dir);
    }
    int rc = 0;
    if (!a->dry_run && !a->yes && val_len(g.list)) {
        struct buf b = BUF_INIT;
        bytes_text(&b, g.bytes);
        rc = err_code(e, ERR_USAGE, "gc: this deletes %zu things (%s) for good; gc dry_run=true (--dry-run) lists them, yes=true (--yes) does it",
            val_len(g.list), b.data);
        buf_release(&b);
    }
    for (size_t i = 0; i < val_len(g.list) && rc == 0 && !a->dry_run; i++) rc = io_remove_tree(val_get_str(val_at(g.list, i), "path", ""), e);
    if (rc == 0) call_result(c, g.list);
    else val_free(g.list);
    shelf_unref(s);
    return rc;
}

/* ---- rows ---- */

#define YES(type) \
    { "yes", "do it without asking", NULL, "false", ARG_BOOL, offsetof(struct type, yes) }
#define RUN(type) \
    { "run", "name of a run", NULL, NULL, ARG_VAL, offsetof(struct type, run), ARG_POSITIONAL | ARG_REQUIRED, .source = SRC_RUN }
static const struct arg rm_table[] = {
    {"runs", "names of runs", NULL, NULL, ARG_TABLE, offsetof(struct rm_args, runs), ARG_POSITIONAL | ARG_REST, .source = SRC_RUN}, YES(rm_args), {0}};
static const struct arg mv_table[] = {
    RUN(mv_args), {"to", "its new name", NULL, NULL, ARG_STR, offsetof(struct mv_args, to), ARG_POSITIONAL | ARG_REQUIRED}, {0}};
static const struct arg tag_table[] = {RUN(tag_args),
    {"tag", "a word; baseline is the run that others are compared with, one of a folder. What there is without it", NULL, NULL, ARG_STR,
        offsetof(struct tag_args, tag), ARG_POSITIONAL},
    {"remove", "take it away", NULL, "false", ARG_BOOL, offsetof(struct tag_args, remove)},
    {"note", "a note on the run", NULL, NULL, ARG_STR, offsetof(struct tag_args, note)}, {0}};
static const struct arg gc_table[] = {{"dry_run", "only list it", NULL, "false", ARG_BOOL, offsetof(struct gc_args, dry_run)}, YES(gc_args), {0}};

const struct cmd cmd_rm = {{"rm", "deletes runs that have ended", "hone.rm{\"fashion-1\", yes=true}", rm_table, sizeof(struct rm_args)}, OWNER_HELPER,
    CMD_LINE | CMD_CONFIRM | CMD_WHILE_RUNNING, rm_run, NULL};
const struct cmd cmd_mv = {{"mv", "renames a run that has ended", "hone.mv{\"fashion-1\", \"first\"}", mv_table, sizeof(struct mv_args)}, OWNER_HELPER,
    CMD_LINE | CMD_WHILE_RUNNING, mv_run, NULL};
const struct cmd cmd_tag = {
    {"tag", "puts a tag or a note on a run, or tells those it has", "hone.tag{\"fashion-1\", \"baseline\"}", tag_table, sizeof(struct tag_args)}, OWNER_HELPER,
    CMD_LINE | CMD_WHILE_RUNNING, tag_run, NULL};
const struct cmd cmd_gc = {
    {"gc", "deletes runs that failed before their first step, old checkpoints but the best and the last, and what interrupted saves left",
        "hone.gc{dry_run=true}", gc_table, sizeof(struct gc_args)},
    OWNER_HELPER, CMD_LINE | CMD_CONFIRM | CMD_WHILE_RUNNING, gc_run, NULL};
