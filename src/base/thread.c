/* Threads and clocks. A new thread gets no signal but those that its own instructions raise: the main thread serves the others. */
#include "config.h"

#include "src/base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/base/mem.h"

struct start {
    void *(*fn)(void *);
    void *arg;
    char name[16]; /* what the kernel keeps, with its NUL */
};

static void *begin(void *p) {
    struct start s = *(struct start *)p;
    free(p);
    pthread_setname_np(pthread_self(), s.name);
    return s.fn(s.arg);
}

int thread_start(pthread_t *t, const char *name, void *(*fn)(void *), void *arg, struct err *e) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    struct start *s = X_NEW(struct start, 1);
    s->fn = fn;
    s->arg = arg;
    memcpy(s->name, name, strnlen(name, sizeof s->name - 1));
    sigset_t all, old;
    sigfillset(&all);
    for (size_t i = 0; i < LEN(own); i++) sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited, so there is no moment without it */
    int rc = pthread_create(t, NULL, begin, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) return 0;
    free(s);
    errno = rc;
    return err_sys(e, "start the thread", name);
}

static double seconds(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_now(void) { return seconds(CLOCK_MONOTONIC); }
double clock_cpu(void) { return seconds(CLOCK_THREAD_CPUTIME_ID); }

struct timespec clock_after(clockid_t id, double s) {
    struct timespec t;
    clock_gettime(id, &t);
    t.tv_sec += (time_t)s;
    t.tv_nsec += (long)((s - (double)(time_t)s) * 1e9);
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

void clock_sleep(double s) {
    if (!(s > 0)) return;
    struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR) {}
}

int thread_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
