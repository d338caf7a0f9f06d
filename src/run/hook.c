/* Programs that alarms start: an argument list, never a line for a shell, one after another on a thread of its own, with the facts in the environment.
 * A program has a minute; then it is left alone. Its standard output goes where errors go, as this process's output may be JSON lines. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/run/private.h"

enum { WAITING_MAX = 16, PATIENCE_S = 60 };

struct work {
    char **argv, **env;
};
struct hooks {
    struct runs *rs;
    pthread_mutex_t lock; /* protects all below; taken inside the runs lock, never the other way round */
    pthread_cond_t more;
    struct work wait[WAITING_MAX];
    int n;
    bool stop, on;
    pthread_t thread;
};

static void list_free(char **list) {
    for (char **p = list; p && *p; p++) free(*p);
    free(list);
}

static void say(struct hooks *h, const char *program, const char *what) {
    char text[400];
    snprintf(text, sizeof text, "the program of an alarm, %.100s, %.200s", program, what);
    runs_notice(h->rs, "warn", text);
}

static bool stopping(struct hooks *h) {
    pthread_mutex_lock(&h->lock);
    bool s = h->stop;
    pthread_mutex_unlock(&h->lock);
    return s;
}

static void wait_for(struct hooks *h, pid_t pid, const char *program) {
    int status;
    char text[100];
    for (double until = clock_now() + PATIENCE_S; clock_now() < until && !stopping(h); clock_sleep(0.02)) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == 0 || (got < 0 && errno == EINTR)) continue;
        if (got == pid && WIFEXITED(status) && WEXITSTATUS(status)) snprintf(text, sizeof text, "ended with %d", WEXITSTATUS(status)), say(h, program, text);
        if (got == pid && WIFSIGNALED(status)) snprintf(text, sizeof text, "was ended by signal %d", WTERMSIG(status)), say(h, program, text);
        return;
    }
    if (!stopping(h)) say(h, program, "still runs after a minute; nobody waits for it any more");
}

static void start(struct hooks *h, const struct work *w) {
    struct child c = {.argv = (const char *const *)w->argv, .env = w->env, .fd = {CHILD_NULL, STDERR_FILENO, CHILD_KEEP, CHILD_KEEP}, .place = CHILD_GROUP};
    pid_t pid;
    char text[200];
    int rc = child_start(&c, &pid);
    if (rc != 0) snprintf(text, sizeof text, "could not be started: %.150s", strerror(rc)), say(h, w->argv[0], text);
    else wait_for(h, pid, w->argv[0]);
}

static void *hooks_main(void *arg) {
    struct hooks *h = arg;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!h->n && !h->stop) pthread_cond_wait(&h->more, &h->lock);
        if (!h->n) break; /* what was asked for is started, also at the end */
        struct work w = h->wait[0];
        memmove(h->wait, h->wait + 1, (size_t)--h->n * sizeof *h->wait);
        pthread_mutex_unlock(&h->lock);
        start(h, &w);
        list_free(w.argv);
        list_free(w.env);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct hooks *hooks_new(struct runs *rs) {
    struct hooks *h = X_NEW(struct hooks, 1);
    struct err e = {0};
    h->rs = rs;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->more, NULL);
    h->on = thread_start(&h->thread, "hone-hooks", hooks_main, h, &e) == 0;
    return h;
}

void hooks_free(struct hooks *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->more);
    pthread_mutex_unlock(&h->lock);
    if (h->on) pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->more);
    free(h);
}

static bool named(const char *entry, const char *const *env) {
    for (; *env; env++) {
        size_t n = strcspn(*env, "=");
        if (strncmp(entry, *env, n + 1) == 0) return true;
    }
    return false;
}

void hook_run(struct hooks *h, const struct val *argv, const char *const *env) {
    size_t n = val_len(argv), had = 0, m = 0, k = 0;
    while (environ[had]) had++;
    while (env[m]) m++;
    pthread_mutex_lock(&h->lock);
    if (h->on && h->n < WAITING_MAX && n) { /* a flood of alarms starts no flood of programs */
        struct work w = {X_NEW(char *, n + 1), X_NEW(char *, had + m + 1)};
        for (size_t i = 0; i < n; i++) w.argv[i] = mem_str(val_at(argv, i)->u.s.p);
        for (size_t i = 0; i < had; i++)
            if (!named(environ[i], env)) w.env[k++] = mem_str(environ[i]);
        for (size_t i = 0; i < m; i++) w.env[k++] = mem_str(env[i]);
        h->wait[h->n++] = w;
        pthread_cond_signal(&h->more);
    }
    pthread_mutex_unlock(&h->lock);
}
