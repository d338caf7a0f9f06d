/* What the machine does, from /proc: one reading and what lies between two. Cheap (under 1 ms up to some hundred cores); never blocks. UI thread. */
#ifndef HONE_UI_MACHINE_H
#define HONE_UI_MACHINE_H

#include <stdint.h>

enum { MACHINE_CORES = 1024 };
struct machine_reading {
    double t; /* seconds, monotonic */
    int n; /* cores */
    uint64_t busy[MACHINE_CORES + 1], wait[MACHINE_CORES + 1], all[MACHINE_CORES + 1]; /* ticks; place 0: all cores together */
    uint64_t own; /* ticks of this process */
    double rss, peak, total, available; /* bytes; 0: not known */
    double read, written; /* bytes this process moved to and from disks */
    int threads;
    double load; /* of one minute */
    double disk_free, disk_total; /* bytes a user may still write where runs are kept; -1: not known */
};
void machine_read(struct machine_reading *m, const char *root, const char *runs); /* root: "/proc"; runs: the folder whose disk counts, or NULL */

#endif
