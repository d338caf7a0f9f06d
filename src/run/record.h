/* The run record: what a run is, was and shows. One struct, one mutex; the engine appends, readers copy out. It can as well be
 * filled from a socket or a run's files: dashboard, line mode, watch, ls and diff are the same code over it. */
#ifndef HONE_RUN_RECORD_H
#define HONE_RUN_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

enum run_state {
    RUN_QUEUED,
    RUN_PREPARING,
    RUN_TRAINING,
    RUN_EVALUATING,
    RUN_COMPRESSING,
    RUN_PAUSED,
    RUN_DONE,
    RUN_STOPPED,
    RUN_FAILED,
    RUN_CRASHED,
    RUN_STATES
};
extern const char *const run_state_names[RUN_STATES];
enum run_state run_state_named(const char *name, enum run_state other); /* other: where no state has that name, or name is NULL */
static inline bool run_state_ended(enum run_state s) { return s >= RUN_DONE; }

struct runs; /* all runs of this process, newest last; also owns the event ring */
struct run;

struct runs *runs_new(const char *dir); /* dir: where run folders go (NULL: keep nothing on disk) */
void runs_free(struct runs *rs);
const char *runs_dir(const struct runs *rs);
/* What another part keeps with them (src/stored its view of the folder): made at the first call, released by runs_free. There is one such part. */
void *runs_kept(struct runs *rs, void *(*make)(void), void (*release)(void *));
size_t runs_count(struct runs *rs);
void runs_wake(struct runs *rs); /* watchers look again: something that is shown beside the record has changed */
uint64_t runs_version(struct runs *rs); /* changes with every number and event of every run */
void runs_set_clock(struct runs *rs, double (*now)(void)); /* seconds; before the first run: tests, replays */
struct run *runs_at(struct runs *rs, size_t i); /* runs live until runs_free */
struct run *runs_current(struct runs *rs); /* the newest live run, else the newest; NULL: none */
struct run *runs_find(struct runs *rs, const char *name);
/* Readers that wait: the fd (a non-blocking pipe, socket or eventfd) becomes readable whenever an event was appended or a
 * number changed. Merged: after one wake-up nothing more is written until somebody called runs_events or run_now. */
int runs_watch(struct runs *rs, int fd);
void runs_unwatch(struct runs *rs, int fd);

/* ---- writing (engine thread, but safe from any) ---- */
/* Names itself PREFIX-1, -2 ... by the folder of runs, where its own folder is made. NULL: that cannot be, so nothing may begin. */
struct run *run_new(struct runs *rs, const char *prefix, struct err *e);
const char *run_name(const struct run *r); /* immutable */
const char *run_dir(const struct run *r); /* its folder; NULL: nothing is kept, as of one that failed before its start event */
void run_info(struct run *r, struct val *start_take); /* the fields of the start event; emits it */
void run_set_state(struct run *r, enum run_state s);
void run_phase(struct run *r, const char *phase); /* "reading imdb", "training" ...; NULL: none. With its own clock */
void run_progress(struct run *r, int64_t done, int64_t total, int64_t step, int64_t steps, double epoch, double epochs);
/* One step's numbers: goes into every series, and as a metric event when due (log_every, at most 20 a second). */
void run_metrics(struct run *r, int64_t step, double epoch, const char *const *names, const double *values, size_t n);
void run_log_every(struct run *r, int64_t steps);
/* Any other event: "edit" "epoch" "eval" "notice" "checkpoint" "note" "alert" "result" "end" ...; fields_take is a table. t, event and run are added. */
void run_event(struct run *r, const char *event, int64_t step, struct val *fields_take);
void run_say(struct run *r, const char *event, int64_t step, const char *level, const char *text); /* one that is a sentence: "notice", "alert" */
void runs_event(struct runs *rs, const char *event, struct val *fields_take); /* of the process, not of a run */
/* The latest report of each kind: "eval", "memory", "model", "histograms", "time", "compress"; run.json has them. */
void run_report(struct run *r, const char *kind, struct val *report_take);
/* The same for one that changes all the time: it reaches run.json only when something else does. */
void run_report_live(struct run *r, const char *kind, struct val *report_take);
/* What an evaluation after the run, or beside it, gave for a split of the data: series test_acc, test_loss ... with a point at the run's last step. */
void run_scores(struct run *r, const char *split, const struct val *report);
void run_end(struct run *r, enum run_state s, int exit_code);
/* One line of the run's journal: Lua text that does it again; step < 0: not tied to a step. NULL run: the current one, if any. */
void run_journal(struct runs *rs, struct run *r, const char *lua, int64_t step);
/* Without a run (r == NULL events of the process itself): notices. */
void runs_notice(struct runs *rs, const char *level, const char *text); /* belongs to the current run's log if there is a live one */
/* True at most once every 30 s: whether a write that failed is to be said. A full disk is one piece of news, not one for each try. */
bool runs_may_complain(struct runs *rs);

/* ---- reading (any thread): copies ---- */
#define RUN_MAX_METRICS 128
struct run_now {
    char name[64], model[64], phase[96];
    enum run_state state;
    double t, phase_t; /* seconds since start (stops at the end), since the phase began */
    int64_t done, total; /* of the phase */
    int64_t step, steps;
    double epoch, epochs, eta; /* eta < 0: unknown */
    int n; /* metrics in order of first appearance */
    struct run_metric {
        char name[32];
        double value;
        int64_t step;
    } metric[RUN_MAX_METRICS];
    uint64_t version; /* changes whenever anything above did */
};
void run_now(struct run *r, struct run_now *out);
void run_trends(struct run *r, double *trend, int from, int n); /* of metrics from .. n - 1, in run_now's order: relative change over the last tenth */
enum run_state run_state(struct run *r);
int run_exit_code(struct run *r); /* -1: not ended */
struct val *run_start_info(struct run *r); /* copy of the start fields */
struct val *run_last_report(struct run *r, const char *kind); /* copy, or NULL */
bool run_has_report(struct run *r, const char *kind);
/* The same if it is newer than *seen (0: any), which is set then; NULL: nothing new. For readers that look often. */
struct val *run_report_since(struct run *r, const char *kind, uint64_t *seen);

struct bucket { /* what a series has in some steps from step0 on */
    int64_t step0;
    float min, max;
    double mean;
    int64_t count, bad, low; /* finite values; values that are not; values of 0 and below, which a log axis cannot show */
    int64_t at_min, at_max; /* the steps that logged min and max (within 2^32 steps of step0) */
};
void bucket_merge(struct bucket *a, const struct bucket *b); /* a: the earlier one, or empty */
struct val *bucket_to_val(const struct bucket *b); /* {step, mean, min, max, count, bad}; without what is not there */
/* Whole-run series in at most n buckets of 2^k steps; returns how many, and *k. 0: no such series. (Of a run on disk: stored_series of pyramid.h.) */
size_t run_series(struct run *r, const char *name, struct bucket *out, size_t n, int *k);
/* The buckets of steps [from, to) at the finest kept resolution, at most n. */
size_t run_series_window(struct run *r, const char *name, int64_t from, int64_t to, struct bucket *out, size_t n);
double run_smooth(struct run *r, const char *name, double w); /* the last value, smoothed as charts smooth it (series_smooth); NAN: none */
/* What the steps were besides, as series by step that are no metrics: epochs done, seconds of training (pauses left out), seconds
 * since the run began. Charts place steps on their other x axes by them. */
enum run_axis { RUN_EPOCH, RUN_BUSY, RUN_CLOCK, RUN_AXES };
size_t run_axis(struct run *r, enum run_axis a, int64_t from, int64_t to, struct bucket *out, size_t n);
double run_created(const struct run *r); /* when it began, seconds of the wall clock */
size_t run_series_names(struct run *r, char names[][32], size_t max);

/* Events since a sequence number: calls fn with a borrowed value (valid during the call), returns the next number to ask for.
 * *lost: how many were overwritten before they were read. */
uint64_t runs_events(struct runs *rs, uint64_t since, void (*fn)(void *ctx, uint64_t seq, const struct val *event), void *ctx, uint64_t *lost);
uint64_t runs_next_event(struct runs *rs);
/* Waits until everything said so far was handed to the files (at most timeout seconds); not for the engine thread. True: done. */
bool runs_flush(struct runs *rs, double timeout);

/* ---- copies of runs that live elsewhere (mirror.c): filled from a session's socket, from a run's files, or both ---- */
struct run *run_mirror(struct runs *rs, const char *name); /* the one of that name, else a new one that keeps nothing on disk */
/* From its folder under runs_dir: what was asked, state, reports, series, log. Again later: only what is new. live: its session tells state and progress.
 * 1: there was news, 0: none, -1: no such run. */
int run_fill(struct run *r, bool live, struct err *e);
void runs_take(struct runs *rs, const struct val *event); /* an event of the other process as it came over the socket */
bool run_start_known(struct run *r); /* its start event or run.json was seen */
struct val *run_progress_told(struct run *r); /* what the command `progress` answers */
void run_follow(struct run *r, const struct val *told); /* takes that answer */

#endif
