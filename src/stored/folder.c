/* Names, handles and bundles to run folders. A bundle is unpacked into a private folder for as long as the command reads it. */
#include "config.h"

#include "src/stored/folder.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/args.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/call/job.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"

static int set_path(struct folder *out, char *dir_take) {
    const char *slash = strrchr(dir_take, '/');
    out->dir = dir_take;
    out->name = mem_str(slash ? slash + 1 : dir_take);
    return 0;
}

static int no_run(struct runs *rs, const char *name, struct err *e) {
    struct val *all = store_list(runs_dir(rs), NULL);
    size_t n = val_len(all);
    const char **names = X_NEW(const char *, n + 1);
    for (size_t i = 0; i < n; i++) names[i] = val_at(all, i)->u.s.p;
    const char *near = args_nearest(name, names, n);
    if (near) err_set(e, "there is no run named \"%.100s\" in %s; did you mean %s?", name, runs_dir(rs), near);
    else err_set(e, "there is no run named \"%.100s\" in %s; hone ls lists them", name, runs_dir(rs));
    free(names);
    val_free(all);
    return -1;
}

/* A private folder with what the bundle holds, or NULL. */
static char *unpacked(const char *file, struct val *names, struct err *e) {
    const char *tmp = getenv("TMPDIR");
    char *dir = io_join(tmp && *tmp ? tmp : "/tmp", "hone-bundle-XXXXXX");
    if (!mkdtemp(dir)) err_sys(e, "make a folder in", tmp && *tmp ? tmp : "/tmp");
    else if (bundle_unpack(file, dir, names, e) == 0) return dir;
    else io_remove_tree(dir, NULL);
    free(dir);
    return NULL;
}

struct shelf *bundle_shelf(const char *path, struct err *e) {
    struct val *names = val_list();
    char *dir = unpacked(path, names, e);
    struct shelf *s = dir ? shelf_read(dir, NULL, e) : NULL;
    if (dir) io_remove_tree(dir, NULL);
    free(dir);
    val_free(names);
    return s;
}

/* FILE or FILE:RUN. */
static int open_bundle(const char *file, const char *run, struct folder *out, struct err *e) {
    struct val *names = val_list();
    char *dir = out->temporary = unpacked(file, names, e);
    int rc = dir ? 0 : -1;
    const char *found = NULL;
    for (size_t i = 0; rc == 0 && i < val_len(names); i++)
        if (!run || strcmp(run, val_at(names, i)->u.s.p) == 0) found = val_at(names, i)->u.s.p;
    if (rc == 0 && !run && val_len(names) > 1) {
        struct buf b = BUF_INIT;
        for (size_t i = 0; i < val_len(names) && b.len < 300; i++) buf_addf(&b, "%s%s", i ? ", " : "", val_at(names, i)->u.s.p);
        rc = err_set(e, "%s holds %zu runs: name one of them as %s:RUN (%s)", file, val_len(names), file, b.data);
        buf_release(&b);
    } else if (rc == 0 && !found) rc = err_set(e, "%s holds no run named \"%.100s\"", file, run ? run : "");
    if (rc == 0) rc = set_path(out, io_join(dir, found));
    val_free(names);
    if (rc != 0) folder_close(out);
    return rc;
}

int folder_open(struct runs *rs, const char *name, struct folder *out, struct err *e) {
    *out = (struct folder){NULL, NULL, NULL};
    struct run *r = name ? runs_find(rs, name) : runs_current(rs);
    if (r && run_dir(r)) return set_path(out, mem_str(run_dir(r)));
    const char *colon = name ? strrchr(name, ':') : NULL;
    char *file = colon ? mem_strn(name, (size_t)(colon - name)) : NULL;
    bool bundle = name && bundle_is(name), inside = !bundle && file && bundle_is(file);
    int rc = bundle || inside ? open_bundle(inside ? file : name, inside ? colon + 1 : NULL, out, e) : 1;
    free(file);
    if (rc <= 0) return rc;
    if (!runs_dir(rs)) return err_set(e, "runs are not kept on disk here, so there is nothing to read");
    if (name) {
        char *dir = store_name_ok(name) ? io_join(runs_dir(rs), name) : NULL;
        if (dir && io_is_dir(dir)) return set_path(out, dir);
        free(dir);
        return no_run(rs, name, e);
    }
    struct val *names = store_list(runs_dir(rs), e);
    if (!names) return -1;
    rc = val_len(names) ? set_path(out, io_join(runs_dir(rs), val_at(names, val_len(names) - 1)->u.s.p))
                        : err_set(e, "there are no runs in %s yet", runs_dir(rs));
    val_free(names);
    return rc;
}

void folder_close(struct folder *f) {
    if (f->temporary) io_remove_tree(f->temporary, NULL);
    free(f->temporary);
    free(f->dir);
    free(f->name);
    *f = (struct folder){NULL, NULL, NULL};
}

char *folder_item(struct call *c, const struct val *v, struct err *e) {
    if (v->type == VAL_STR) return mem_str(v->u.s.p);
    bool handle = v->type == VAL_HANDLE && (v->u.h.kind == HANDLE_RUN || v->u.h.kind == HANDLE_JOB);
    struct job *j = handle ? hub_job(c->hub, v->u.h) : NULL;
    struct run *r = j ? hub_job_run(j) : NULL;
    if (r) return mem_str(run_name(r));
    if (handle) err_set(e, "%s: that run has not begun yet, so it has no folder", c->cmd->kind.name);
    else err_code(e, ERR_USAGE, "%s takes names of runs, not a %s", c->cmd->kind.name, val_type_name(v));
    return NULL;
}

struct folder *folders_open(struct call *c, const struct val *list, size_t least, size_t *n, struct err *e) {
    struct runs *rs = hub_runs(c->hub);
    size_t given = val_len(list), want = given ? given : least <= 1 ? 1 : 0;
    struct folder *f = X_NEW(struct folder, want + 1);
    *n = 0;
    runs_flush(rs, 2);
    if (want < least) {
        err_code(e, ERR_USAGE, "%s needs the names of %zu runs; hone ls lists them", c->cmd->kind.name, least);
        free(f);
        return NULL;
    }
    for (size_t i = 0; i < want; i++) {
        char *name = given ? folder_item(c, val_at(list, i), e) : NULL;
        int rc = given && !name ? -1 : folder_open(rs, name, &f[i], e);
        free(name);
        if (rc != 0) {
            folders_close(f, *n);
            return NULL;
        }
        (*n)++;
    }
    return f;
}

void folders_close(struct folder *f, size_t n) {
    for (size_t i = 0; f && i < n; i++) folder_close(&f[i]);
    free(f);
}
