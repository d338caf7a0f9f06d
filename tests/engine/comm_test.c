/* Devices joined by NCCL, as one process sees them: a group of one (the loopback that a machine with one GPU can run) leaves sums as they are; sums without
 * a group, a rank that is not of the group and ranks that disagree about its size are refused in words. With the fake device and its fake NCCL, unless
 * HONE_CUDA names another plugin. */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/graph/backend.h"
#include "tests/engine/fake_device.h"
#include "tests/tap.h"

enum { N = 70000, M = 33 }; /* numbers of two gradients */

static void alone(struct backend_device *d) {
    static float host[N + M], back[N + M];
    struct err e = {0};
    char id[COMM_ID];
    float *at[2] = {d->b->alloc(d->self, N * sizeof(float), &e), d->b->alloc(d->self, M * sizeof(float), &e)};
    int64_t len[2] = {N, M};
    for (int i = 0; i < N + M; i++) host[i] = (float)i * 0.25f - 100;
    for (int turn = 1; turn <= 2; turn++) {
        memset(back, 0, sizeof back);
        bool ok = d->b->comm_id(d->self, id, &e) == 0 && d->b->comm_open(d->self, id, 0, 1, &e) == 0;
        ok = ok && d->b->upload(d->self, at[0], host, N * sizeof(float), &e) == 0 && d->b->upload(d->self, at[1], host + N, M * sizeof(float), &e) == 0;
        for (int i = 0; i < 3 && ok; i++) ok = d->b->comm_sum(d->self, at, len, 2, &e) == 0 && d->b->sync(d->self, &e) == 0;
        ok = ok && d->b->download(d->self, back, at[0], N * sizeof(float), &e) == 0 && d->b->download(d->self, back + N, at[1], M * sizeof(float), &e) == 0;
        ok = ok && d->b->sync(d->self, &e) == 0;
        d->b->comm_close(d->self, false);
        tap_ok(ok && memcmp(host, back, sizeof host) == 0, "a group of one, time %d: three sums leave %d numbers as they are %s", turn, N + M, e.text);
    }
    int rc = d->b->comm_sum(d->self, at, len, 2, &e);
    tap_ok(rc < 0 && strstr(e.text, "the GPUs are not joined"), "sums without a group: %s", e.text);
    for (int i = 0; i < 2; i++) d->b->free(d->self, at[i]);
}

/* The other process: takes an id, joins as the second of three, and tells how that went. */
static _Noreturn void other(int in, int out) {
    struct err e = {0};
    char id[COMM_ID];
    struct backend_device *d = read(in, id, sizeof id) == sizeof id ? fake_device(false, &e) : NULL;
    if (d && d->b->comm_open(d->self, id, 1, 3, &e) == 0) err_set(&e, "joined");
    if (write(out, e.text, strlen(e.text) + 1) < 0) _exit(1);
    _exit(0);
}
static bool told(void *ctx) {
    struct pollfd p = {.fd = *(int *)ctx, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}
/* Whoever comes second is refused; the first, if it is this one, gives up when the other has ended. */
static void disagree(struct backend_device *d, pid_t child, int to, int from) {
    struct err e = {0};
    char id[COMM_ID], theirs[ERR_TEXT] = "";
    backend_on_wait(told, &from);
    bool ok = d->b->comm_id(d->self, id, &e) == 0 && write(to, id, sizeof id) == sizeof id;
    int rc = ok ? d->b->comm_open(d->self, id, 0, 2, &e) : -1;
    if (told(&from) && read(from, theirs, sizeof theirs - 1) < 0) theirs[0] = 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    unlink(id); /* the fake's id is a file */
    backend_on_wait(NULL, NULL);
    bool me = strstr(e.text, "the GPUs cannot be joined: NCCL says invalid argument") != NULL, left = strstr(e.text, "not all ranks came") != NULL;
    tap_ok(ok && rc < 0 && (me || (left && strstr(theirs, "NCCL says invalid argument"))), "two ranks here, three there: %s%s%s", e.text,
        left ? "; there: " : "", left ? theirs : "");
    e = (struct err){0};
    rc = d->b->comm_id(d->self, id, &e) == 0 ? d->b->comm_open(d->self, id, 5, 2, &e) : 0;
    unlink(id);
    tap_ok(rc < 0 && strstr(e.text, "the GPUs cannot be joined: NCCL says"), "rank 5 of 2: %s", e.text);
}

/* Two devices open in one process, used in turn. */
static void two_open(struct backend_device *d) {
    struct err e = {0};
    struct backend_device *other = backend_open("cuda:1", &e), *both[2] = {d, other};
    int (*device_of)(const void *p);
    fake_function(&device_of, "fake_device_of");
    void *at[2] = {NULL, NULL};
    float sent[2][100], back[2][100];
    bool ok = other != NULL && device_of;
    for (int turn = 0; turn < 4 && ok; turn++)
        for (int i = 0; i < 2 && ok; i++) {
            const struct backend *b = both[i]->b;
            for (int k = 0; k < 100; k++) sent[i][k] = (float)(k + 1000 * i + 100000 * turn);
            if (!at[i]) at[i] = b->alloc(both[i]->self, sizeof sent[i], &e);
            ok = at[i] && device_of(at[i]) == i && b->upload(both[i]->self, at[i], sent[i], sizeof sent[i], &e) == 0 && b->sync(both[i]->self, &e) == 0 &&
                 b->mix(both[i]->self, at[i], at[i], 100, 0.5f, &e) == 0 && b->download(both[i]->self, back[i], at[i], sizeof back[i], &e) == 0 &&
                 b->sync(both[i]->self, &e) == 0 && memcmp(sent[i], back[i], sizeof sent[i]) == 0;
        }
    for (int i = 0; i < 2; i++)
        if (at[i]) both[i]->b->free(both[i]->self, at[i]);
    tap_ok(ok, "two devices of one process in turn: memory, copies and kernels are those of the one that is meant %s", e.text);
}

int main(void) {
    struct err e = {0};
    const char *build = getenv("top_builddir");
    char nccl[4096];
    int to[2], from[2];
    bool fake = !getenv("HONE_CUDA");
    snprintf(nccl, sizeof nccl, "%s/tests/cuda/nccl.so", build ? build : ".");
    if (fake) setenv("HONE_NCCL", nccl, true), setenv("HONE_FAKE_CUDA", "count=2", true);
    pid_t child = !fake || pipe(to) < 0 || pipe(from) < 0 ? -1 : fork(); /* before the device is opened */
    if (child == 0) other(to[0], from[1]);
    struct backend_device *d = fake_device(false, &e);
    if (!d) {
        printf("1..0 # SKIP %s\n", e.text);
        if (child > 0) kill(child, SIGKILL), waitpid(child, NULL, 0);
        return 0;
    }
    alone(d);
    if (fake) two_open(d);
    if (child > 0) disagree(d, child, to[1], from[0]);
    else tap_skip("ranks that disagree", "they need a second device");
    backends_close();
    return tap_done();
}
