/* An evaluation of a run that has ended, by a process that did not train it: its numbers go behind the others in metrics.bin, at the step of the weights, the
 * report into run.json; both under the lock of the run. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/run/points.h"
#include "src/run/private.h"
#include "src/run/store.h"

bool score_kept(const char *name) {
    static const char *const kept[] = {"loss", "acc", "ler", "f1_macro", "r2", "rmse"};
    for (size_t i = 0; i < LEN(kept); i++)
        if (strcmp(name, kept[i]) == 0) return true;
    return false;
}

/* The numbers of a report that are series, into `metrics` and as one row of a record. How many. */
static size_t scores_put(
    const char *split, int64_t step, double t, double epoch, const struct val *report, struct val *metrics, struct buf *names, struct buf *rows) {
    char full[RUN_MAX_METRICS][40];
    const char *name[RUN_MAX_METRICS];
    double v[RUN_MAX_METRICS];
    int id[RUN_MAX_METRICS];
    size_t n = 0;
    for (size_t i = 0; i < report->u.t.n_field && n < RUN_MAX_METRICS; i++) {
        if (!score_kept(report->u.t.field[i].name) || !val_as_num(report->u.t.field[i].v, &v[n])) continue;
        snprintf(full[n], sizeof full[n], "%.6s_%.24s", split, report->u.t.field[i].name);
        val_set_num(metrics, full[n], v[n]);
        name[n] = full[n];
        id[n] = (int)n;
        n++;
    }
    points_names(names, name, n);
    points_row(rows, step, t, epoch, id, v, n);
    return n;
}

static int row_append(const char *dir, const struct buf *names, const struct buf *rows, struct err *e) {
    char *path = io_join(dir, "metrics.bin");
    struct buf rec = BUF_INIT;
    store_record_put(&rec, names, rows);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    int rc = end < 0 ? err_sys(e, "open", path) : io_write_all(fd, rec.data, rec.len, path, e);
    if (rc && end >= 0 && ftruncate(fd, end) != 0) rc = err_sys(e, "cut back", path);
    if (fd >= 0) close(fd);
    buf_release(&rec);
    free(path);
    return rc;
}

int store_scores(const char *dir, const char *split, int64_t step, const struct val *report, struct err *e) {
    int fd = store_own(dir), rc = 0;
    if (fd < 0) return 0; /* it lives: its own process keeps its files */
    struct val *meta = store_describe(dir, e), *reports = val_table(), *copy = val_copy(report);
    const struct val *had = val_get(meta, "reports"), *metrics = val_get(meta, "metrics");
    struct buf names = BUF_INIT, rows = BUF_INIT;
    if (!meta) rc = -1;
    else {
        struct val *all = metrics && metrics->type == VAL_TABLE ? val_copy(metrics) : val_table();
        size_t n = scores_put(split, step, val_get_num(meta, "seconds", 0), val_get_num(meta, "epoch", 0), report, all, &names, &rows);
        if (n) rc = row_append(dir, &names, &rows, e);
        val_set(meta, "metrics", all);
        if (had && had->type == VAL_TABLE) val_free(reports), reports = val_copy(had);
        val_unset(copy, "examples");
        val_set(reports, "eval", copy);
        copy = NULL;
        val_set(meta, "reports", reports);
        reports = NULL;
        if (rc == 0) rc = store_meta(dir, meta, e);
    }
    buf_release(&names);
    buf_release(&rows);
    val_free(copy);
    val_free(reports);
    val_free(meta);
    close(fd);
    return rc;
}
