/* Threads with a name and all signals blocked, and clocks. */
#ifndef HONE_BASE_THREAD_H
#define HONE_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "src/base/err.h"

int thread_start(pthread_t *t, const char *name, void *(*fn)(void *), void *arg, struct err *e);
double clock_now(void); /* seconds, monotonic */
double clock_cpu(void); /* seconds of processor time of this thread */
struct timespec clock_after(clockid_t id, double seconds); /* so many seconds from now, as a timed wait takes it */
void clock_sleep(double seconds);
int thread_cores(void); /* processors this process may run on */

#endif
