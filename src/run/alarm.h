/* Alarms: rows of metric, condition and patience, which hold for every run of this process and are judged whenever a value is logged. One that goes
 * off is an "alert" event (a banner, the bell, the log) and may start a program. With the runs lock held unless said. */
#ifndef HONE_RUN_ALARM_H
#define HONE_RUN_ALARM_H

#include "src/base/err.h"
#include "src/base/val.h"
#include "src/run/series.h"

enum { ALARMS = 16 };
enum alarm_when { ALARM_DIVERGES, ALARM_PLATEAU, ALARM_ABOVE, ALARM_BELOW, ALARM_ALERT };
struct alarm {
    int id;
    char metric[32]; /* "*" with ALARM_ALERT: any alert, such as a loss that is not finite */
    enum alarm_when when;
    double value;
    int64_t patience; /* logged values in a row */
    struct val *hook; /* an argument list, or NULL */
};
struct alarm_state { /* of one alarm in one run */
    int id;
    int64_t seen, held, best_step, since; /* values seen; in the condition; since the last progress */
    struct ema mean;
    double first, best;
    bool fired; /* and not yet over */
};
struct alarms {
    struct alarm row[ALARMS];
    int n, last_id;
    struct hooks *hooks; /* hook.c; NULL: none yet */
};

struct run;
struct runs;
struct cmd;
extern const struct cmd cmd_alarm, cmd_alarms;
void alarms_init(struct alarms *a); /* with the one there is from the start: loss diverges */
void alarms_release(struct alarms *a); /* without the lock; waits for no program */
void alarm_value(struct run *r, const char *metric, int64_t step, double v);
void alarm_alert(struct run *r, const char *text, int64_t step); /* an alert event was put: the hooks of ALARM_ALERT */

/* hook.c: starts a program, later, on a thread of its own; that it could not be started or failed is one notice. env: "NAME=value", .., NULL; copied. */
struct hooks;
struct hooks *hooks_new(struct runs *rs);
void hooks_free(struct hooks *h); /* without the lock */
void hook_run(struct hooks *h, const struct val *argv, const char *const *env);

#endif
