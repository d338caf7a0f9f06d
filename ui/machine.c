/* Readers of /proc/stat, meminfo, self/status, self/stat, self/io, loadavg: what is missing stays 0. */
#include "config.h"

#include "ui/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "src/base/thread.h"

static FILE *open_in(const char *root, const char *name) {
    char path[512];
    if (snprintf(path, sizeof path, "%s/%s", root, name) >= (int)sizeof path) return NULL;
    return fopen(path, "re");
}

/* "cpu3 user nice system idle iowait irq softirq steal guest guest_nice": guests are counted in user and nice already (proc(5)). */
static void read_stat(struct machine_reading *m, const char *root) {
    FILE *f = open_in(root, "stat");
    char line[512];
    while (f && fgets(line, sizeof line, f) && strncmp(line, "cpu", 3) == 0) {
        unsigned long long v[8] = {0};
        int at = line[3] == ' ' ? 0 : atoi(line + 3) + 1;
        const char *p = strchr(line, ' ');
        if (at < 0 || at > MACHINE_CORES || !p) continue;
        sscanf(p, "%llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
        m->busy[at] = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
        m->wait[at] = v[4];
        m->all[at] = m->busy[at] + v[3] + v[4];
        if (at > m->n) m->n = at;
    }
    if (f) fclose(f);
}

/* Numbers behind "NAME:" in lines of a file; names end with NULL. */
static void read_fields(const char *root, const char *file, const char *const *name, double *const *to, double unit) {
    FILE *f = open_in(root, file);
    char line[512];
    while (f && fgets(line, sizeof line, f))
        for (int i = 0; name[i]; i++) {
            size_t n = strlen(name[i]);
            if (strncmp(line, name[i], n) == 0 && line[n] == ':') *to[i] = strtod(line + n + 1, NULL) * unit;
        }
    if (f) fclose(f);
}

static void read_own(struct machine_reading *m, const char *root) {
    FILE *f = open_in(root, "self/stat");
    char line[1024];
    if (f && fgets(line, sizeof line, f)) {
        const char *p = strrchr(line, ')'); /* the name may hold blanks */
        unsigned long long user = 0, sys = 0;
        if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &sys) == 2) m->own = user + sys;
    }
    if (f) fclose(f);
    f = open_in(root, "loadavg");
    if (f && fgets(line, sizeof line, f)) m->load = strtod(line, NULL);
    if (f) fclose(f);
}

static void read_disk(struct machine_reading *m, const char *path) {
    struct statvfs s;
    m->disk_free = -1;
    if (!path || (statvfs(path, &s) != 0 && statvfs(".", &s) != 0)) return; /* a folder that is not made yet will lie in this one */
    m->disk_total = (double)s.f_blocks * (double)s.f_frsize;
    m->disk_free = (double)s.f_bavail * (double)s.f_frsize;
}

void machine_read(struct machine_reading *m, const char *root, const char *runs) {
    double threads = 0;
    memset(m, 0, sizeof *m);
    m->t = clock_now();
    read_stat(m, root);
    read_fields(root, "meminfo", (const char *const[]){"MemTotal", "MemAvailable", NULL}, (double *const[]){&m->total, &m->available}, 1024);
    read_fields(root, "self/status", (const char *const[]){"VmRSS", "VmHWM", NULL}, (double *const[]){&m->rss, &m->peak}, 1024);
    read_fields(root, "self/status", (const char *const[]){"Threads", NULL}, (double *const[]){&threads}, 1);
    read_fields(root, "self/io", (const char *const[]){"read_bytes", "write_bytes", NULL}, (double *const[]){&m->read, &m->written}, 1);
    m->threads = (int)threads;
    read_own(m, root);
    read_disk(m, runs);
}
