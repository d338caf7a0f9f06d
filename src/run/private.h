/* Shared by the files of src/run only: the structs behind runs and run, and the writer's side of them. */
#ifndef HONE_RUN_PRIVATE_H
#define HONE_RUN_PRIVATE_H

#include <pthread.h>

#include "src/run/alarm.h"
#include "src/run/record.h"
#include "src/run/series.h"

enum { EVENT_RING = 4096, WATCHERS = 32, RATE_SAMPLES = 32, PENDING_MAX = 8 << 20 };

/* What the writer thread still has to put into one run's files. Protected by the runs lock; the descriptors and the fields
 * below them belong to the writer thread. */
struct store {
    char *dir; /* NULL: nothing is kept */
    char *gone; /* what dir was before the folder was removed: others may still look at its name */
    int lock_fd; /* held while the process lives: tells a crashed run from a running one */
    struct buf rows, journal, log, spare; /* spare: empty, becomes rows when those are taken */
    int64_t dropped; /* rows that did not fit while the disk was full */
    bool meta_dirty;
    double meta_t; /* when run.json was written */
    char journal_last[160]; /* to write a line once when a command and its edit event both bring it */
    int64_t journal_step;
    /* writer thread */
    int metrics_fd, journal_fd, log_fd;
    int64_t metrics_good; /* bytes of whole records */
    uint32_t record[2]; /* length and CRC of the last of them */
    bool packed; /* series.bin is as new as metrics.bin */
};

struct rate_sample {
    double busy;
    int64_t step;
};
struct run {
    struct runs *rs; /* immutable, as are name and created */
    char name[64];
    double created; /* seconds of the wall clock */
    /* protected by the runs lock */
    char model[64], phase[96];
    enum run_state state;
    int exit_code;
    bool started, ended;
    double t0, t_end, phase_t0, busy0, busy; /* busy: time outside pauses before busy0 */
    int64_t done, total, step, steps;
    double epoch, epochs;
    struct rate_sample rate[RATE_SAMPLES];
    int n_rate, rate_skip, rate_seen;
    int64_t log_every, logged;
    double logged_t;
    struct series *series[RUN_MAX_METRICS];
    int n_series;
    struct series *axis[RUN_AXES];
    struct alarm_state alarm[ALARMS];
    struct val *start, *reports, *result, *reported; /* reported: kind -> its number */
    uint64_t n_report;
    struct val *code; /* what code_describe found, or NULL */
    bool code_known;
    uint64_t version;
    struct store st;
    /* of a copy of a run that lives elsewhere (mirror.c) */
    bool mirror;
    char *folder; /* its files, read only */
    int64_t read_to, meta_size; /* bytes of metrics.bin taken; run.json as last read */
    double meta_time, eta_told, eta_at; /* eta_told: seconds left at eta_at, < 0: unknown */
};

struct runs {
    char *dir; /* immutable */
    double t0;
    double (*now)(void); /* set before the first run */
    pthread_mutex_t lock; /* protects everything below and every run; a leaf lock */
    pthread_cond_t work, idle;
    struct run **run;
    size_t n, cap;
    struct val *event[EVENT_RING];
    uint64_t next; /* sequence number of the next event; they begin at 1 */
    struct watch {
        int fd;
        bool told, wide;
    } watch[WATCHERS];
    int n_watch;
    uint64_t version;
    struct alarms alarms;
    void *kept; /* runs_kept */
    void (*release)(void *);
    struct val *machine; /* machine_describe; made by the writer before the first run.json */
    /* writer */
    pthread_t writer;
    bool writer_on, writer_stop, dirty, writing, flush;
    double full_notice_t;
};

/* With the lock held. */
struct val *event_new(struct run *r, double t, const char *event);
void event_fields(struct val *ev, const struct val *fields); /* adds those of a table that ev has not; NULL: none */
void event_put(struct runs *rs, struct val *ev_take);
void runs_tell(struct runs *rs); /* wakes watchers */
double run_clock(const struct run *r); /* seconds since its start; stops at the end */
double run_eta(const struct run *r);
double run_busy(const struct run *r); /* seconds of it outside pauses */
int run_series_id(struct run *r, const char *name, int guess); /* made if need be; -1: there are too many */
void run_join(struct runs *rs, struct run *r); /* makes it one of them */
void store_dirty(struct runs *rs); /* wakes the writer */
void store_row(struct run *r, int64_t step, double t, double epoch, const int *ids, const double *values, size_t n);
void store_log(struct run *r, double t, const char *level, const char *text);
void store_record_put(struct buf *rec, const struct buf *names, const struct buf *rows); /* one record of metrics.bin; see store.h */
bool score_kept(const char *name); /* a number of an evaluation that is kept as a series, SPLIT_NAME */
void journal_put(struct run *r, const char *lua, int64_t step);
struct val *run_meta(struct run *r); /* what run.json holds */
int runs_number(const struct runs *rs, const char *prefix); /* the first N for which no run PREFIX-N was made here */
void store_discard(struct run *r); /* the folder of a run that never began goes; the lock is left meanwhile */
void run_event_seen(struct run *r, const char *event, int64_t step, const struct val *ev, double t); /* what the record itself keeps of an event */

/* Without the lock. */
struct run *run_blank(struct runs *rs); /* nameless, of none */
int store_open(struct run *r, const char *prefix, struct err *e); /* makes the folder and names the run; with no folder of runs it does nothing */
void store_close(struct run *r);
int store_start(struct runs *rs); /* the writer thread */
void store_stop(struct runs *rs);

#endif
