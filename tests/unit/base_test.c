/* Errors, memory, buffers, arena, queue, threads, clocks, log. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/queue.h"
#include "src/base/size.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "tests/tap.h"

static void test_err(void) {
    struct err e = {0};
    tap_ok(err_set(&e, "no %s", "x") == -1 && e.code == ERR_FAIL, "err_set returns -1");
    tap_is(e.text, "no x", "err_set keeps the sentence");
    err_wrap(&e, "file %d", 3);
    tap_is(e.text, "file 3: no x", "err_wrap goes before");
    errno = ENOENT;
    err_sys(&e, "read", "a/b");
    tap_is(e.text, "cannot read a/b: No such file or directory", "err_sys names call, path and reason");
    tap_ok(e.code == ERR_SYS && errno == ENOENT, "err_sys keeps errno");
    tap_ok(err_set(NULL, "x") == -1, "no err is fine");
    char big[3 * ERR_TEXT];
    bool valid = true;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(big, 'a', shift);
        for (size_t i = shift; i + 4 < sizeof big; i += 3) memcpy(big + i, "\xe2\x82\xac\0", 4);
        err_set(&e, "%s", big);
        valid = valid && utf8_valid(e.text, strlen(e.text)) && strlen(e.text) > ERR_TEXT - 5;
    }
    tap_ok(valid, "a cut sentence is still UTF-8");
}

static void hook(const char *text) {
    if (strstr(text, "bug: boom 7") && strstr(text, "base_test.c")) _exit(42);
}

static void test_bug(void) {
    int status;
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        bug_set_hook(hook);
        BUG("boom %d", 7);
    }
    waitpid(p, &status, 0);
    tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 42, "BUG calls the hook with text and place");
    p = fork();
    if (p == 0) {
        close(2);
        BUG("no hook");
    }
    waitpid(p, &status, 0);
    tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "BUG aborts");
}

static void test_mem(void) {
    struct err e = {0};
    void *p = mem_try(1000, 4, "the test", &e);
    tap_ok(p && (uintptr_t)p % 64 == 0 && ((char *)p)[3999] == 0, "mem_try is aligned and zeroed");
    free(p);
    tap_ok(!mem_try(SIZE_MAX / 2, 3, "the model", &e) && strstr(e.text, "the model"), "mem_try: overflow is a sentence: %s", e.text);
    tap_ok(!mem_try((size_t)1 << 60, 1, "activations", &e) && strstr(e.text, "MiB"), "mem_try: too much is a sentence: %s", e.text);
    size_t out;
    tap_ok(!size_mul(SIZE_MAX, 2, &out) && size_mul(3, 4, &out) && out == 12 && !size_add(SIZE_MAX, 1, &out), "checked arithmetic");
    struct arena a = {0};
    bool ok = true;
    char *s = arena_str(&a, "hello"), *f = arena_fmt(&a, "%d-%s", 5, "x");
    for (size_t i = 1; i < 3000; i += 7) {
        char *q = arena_new(&a, i, 3);
        for (size_t j = 0; j < 3 * i; j++) ok = ok && q[j] == 0;
        memset(q, 0xff, 3 * i);
        ok = ok && (uintptr_t)q % 16 == 0;
    }
    tap_ok(ok && strcmp(s, "hello") == 0 && strcmp(f, "5-x") == 0, "arena: zeroed, aligned, apart");
    arena_release(&a);
}

static void test_buf(void) {
    static const struct {
        double v;
        const char *text;
    } num[] = {{0.1, "0.1"}, {3.0, "3"}, {1e300, "1e+300"}, {0.0005, "0.0005"}, {1.0 / 3, "0.3333333333333333"}, {5e-324, "5e-324"}, {NAN, "nan"},
        {-INFINITY, "-inf"}, {0.1 + 0.2, "0.30000000000000004"}, {-0.0, "-0.0"}, {123456789012, "123456789012"}};
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < LEN(num); i++) {
        buf_clear(&b);
        buf_addnum(&b, num[i].v);
        tap_is(b.data, num[i].text, "shortest number");
    }
    bool ok = true;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        double d;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(&d, &x, 8);
        if (!isfinite(d)) continue;
        buf_clear(&b);
        buf_addnum(&b, d);
        double back = strtod(b.data, NULL);
        ok = ok && memcmp(&back, &d, 8) == 0;
    }
    tap_ok(ok, "100000 random doubles read back the same");
    buf_clear(&b);
    for (int i = 0; i < 1000; i++) buf_addf(&b, "%d,", i);
    char big[1000];
    memset(big, 'z', sizeof big - 1);
    big[999] = 0;
    buf_addf(&b, "%s", big);
    tap_ok(b.len == 3890 + 999 && strlen(b.data) == b.len, "buf grows");
    char *t = buf_take(&b);
    tap_ok(t && b.data == NULL && b.len == 0, "buf_take empties");
    free(t);
    t = buf_take(&b);
    tap_is(t, "", "buf_take of nothing is the empty string");
    free(t);
}

enum { PER = 20000 };
static void *putter(void *arg) {
    struct queue *q = arg;
    for (intptr_t i = 1; i <= PER; i++)
        while (queue_put(q, (void *)i) != 0) sched_yield();
    return NULL;
}

static bool readable(int fd) {
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 0) == 1;
}

static void *waker(void *arg) {
    clock_sleep(0.05);
    queue_wake(arg);
    return NULL;
}

static void test_queue(void) {
    struct queue q;
    struct err e;
    int v[8];
    tap_ok(queue_init(&q, 3) == 0, "queue_init");
    tap_ok(!readable(q.wake_fd) && queue_get(&q, 0) == NULL, "empty");
    tap_ok(queue_put(&q, v) == 0 && queue_put(&q, v + 1) == 0 && queue_reserve(&q) == 0, "two and a reserved slot");
    tap_ok(queue_put(&q, v) == -1 && queue_reserve(&q) == -1, "full");
    tap_ok(readable(q.wake_fd), "fd readable");
    queue_put_reserved(&q, v + 2);
    tap_ok(queue_get(&q, -1) == v && queue_get(&q, 10) == v + 1 && queue_get(&q, 0) == v + 2, "in order");
    tap_ok(!readable(q.wake_fd), "fd drained");
    double t = clock_now();
    tap_ok(queue_get(&q, 30) == NULL && clock_now() - t >= 0.029, "waits for its time");
    pthread_t th[4];
    thread_start(&th[0], "waker", waker, &q, &e);
    t = clock_now();
    tap_ok(queue_get(&q, 5000) == NULL && clock_now() - t < 2, "queue_wake ends a wait");
    pthread_join(th[0], NULL);
    tap_ok(!readable(q.wake_fd), "a wake is used up");
    queue_reserve(&q);
    queue_put(&q, v);
    queue_close(&q);
    tap_ok(queue_put(&q, v) == -1, "closed: put fails");
    queue_put_reserved(&q, v + 1);
    tap_ok(queue_get(&q, -1) == v && queue_get(&q, -1) == v + 1 && queue_get(&q, -1) == NULL && readable(q.wake_fd), "closed: drains, reserved too, then NULL");
    queue_release(&q);

    queue_init(&q, 16);
    intptr_t sum = 0, n = 0;
    for (int i = 0; i < 4; i++) thread_start(&th[i], "putter", putter, &q, &e);
    while (n < 4 * PER) {
        void *p = queue_get(&q, -1);
        sum += (intptr_t)p, n++;
    }
    for (int i = 0; i < 4; i++) pthread_join(th[i], NULL);
    tap_ok(sum == 4 * ((intptr_t)PER * (PER + 1) / 2) && !readable(q.wake_fd), "4 threads put 80000 through 16 slots");
    queue_release(&q);
}

static void *mask_of(void *arg) {
    pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

static void test_thread(void) {
    sigset_t in, out;
    pthread_t t;
    struct err e;
    thread_start(&t, "a name longer than fifteen", mask_of, &in, &e);
    pthread_join(t, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &out);
    tap_ok(sigismember(&in, SIGINT) && sigismember(&in, SIGTERM) && sigismember(&in, SIGCHLD), "threads block signals");
    tap_ok(!sigismember(&in, SIGSEGV) && !sigismember(&in, SIGABRT) && !sigismember(&in, SIGBUS) && !sigismember(&in, SIGFPE),
        "but not those of their own faults");
    tap_ok(!sigismember(&out, SIGINT), "the starter's mask is as before");
    double a = clock_now(), c = clock_cpu();
    clock_sleep(0.02);
    tap_ok(clock_now() - a >= 0.019 && clock_cpu() - c < 0.019 && thread_cores() >= 1, "clocks");
}

static char last[64];
static void sink(void *ctx, enum log_level level, const char *text) { snprintf(last, sizeof last, "%s/%s/%s", (const char *)ctx, log_level_name(level), text); }

int main(void) {
    test_err();
    test_bug();
    test_mem();
    test_buf();
    test_queue();
    test_thread();
    char ctx[] = "ctx";
    log_set_sink(sink, ctx);
    log_write(LOG_WARN, "%d left", 3);
    tap_is(last, "ctx/warn/3 left", "log sink");
    log_set_sink(NULL, NULL);
    return tap_done();
}
