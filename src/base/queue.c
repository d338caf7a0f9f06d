/* The bounded queue. Its eventfd is readable exactly while something lies in it (or a wake is pending), so a getter may poll it. */
#include "config.h"

#include "src/base/queue.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

int queue_init(struct queue *q, size_t cap) {
    pthread_condattr_t a;
    *q = (struct queue){.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (q->wake_fd < 0) return -1;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&q->ready, &a);
    pthread_condattr_destroy(&a);
    q->cap = cap ? cap : 1;
    q->slot = X_NEW(void *, q->cap);
    return 0;
}

void queue_release(struct queue *q) {
    if (!q->slot) return;
    ASSERT_HONE(q->len == 0);
    close(q->wake_fd);
    pthread_cond_destroy(&q->ready);
    pthread_mutex_destroy(&q->lock);
    free(q->slot);
    *q = (struct queue){.wake_fd = -1};
}

/* Under the lock. An eventfd cannot be full here: it holds 0 or a few. */
static void raise_fd(struct queue *q) {
    uint64_t one = 1;
    while (write(q->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    pthread_cond_broadcast(&q->ready);
}

static void lower_fd(struct queue *q) {
    uint64_t n;
    while (read(q->wake_fd, &n, sizeof n) < 0 && errno == EINTR) {}
}

static void add(struct queue *q, void *p) {
    q->slot[(q->head + q->len++) % q->cap] = p;
    if (q->len == 1) raise_fd(q);
    else pthread_cond_broadcast(&q->ready);
}

int queue_put(struct queue *q, void *p) {
    pthread_mutex_lock(&q->lock);
    bool ok = !q->closed && q->len + q->reserved < q->cap;
    if (ok) add(q, p);
    pthread_mutex_unlock(&q->lock);
    return ok ? 0 : -1;
}

int queue_reserve(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    bool ok = !q->closed && q->len + q->reserved < q->cap;
    if (ok) q->reserved++;
    pthread_mutex_unlock(&q->lock);
    return ok ? 0 : -1;
}

void queue_put_reserved(struct queue *q, void *p) {
    pthread_mutex_lock(&q->lock);
    ASSERT_HONE(q->reserved > 0);
    q->reserved--;
    add(q, p);
    pthread_mutex_unlock(&q->lock);
}

void queue_unreserve(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    ASSERT_HONE(q->reserved > 0);
    q->reserved--;
    pthread_mutex_unlock(&q->lock);
}

void *queue_get(struct queue *q, int timeout_ms) {
    struct timespec until;
    void *p = NULL;
    if (timeout_ms > 0) until = clock_after(CLOCK_MONOTONIC, timeout_ms * 1e-3);
    pthread_mutex_lock(&q->lock);
    while (q->len == 0 && !q->closed && !q->woken && timeout_ms != 0) {
        if (timeout_ms < 0) pthread_cond_wait(&q->ready, &q->lock);
        else if (pthread_cond_timedwait(&q->ready, &q->lock, &until) == ETIMEDOUT) break;
    }
    if (q->len) {
        p = q->slot[q->head];
        q->head = (q->head + 1) % q->cap;
        q->len--;
        if (q->len == 0 && !q->woken && !q->closed) lower_fd(q);
    } else if (q->woken) {
        q->woken = false;
        if (!q->closed) lower_fd(q);
    }
    pthread_mutex_unlock(&q->lock);
    return p;
}

void queue_wake(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    if (!q->woken) {
        q->woken = true;
        raise_fd(q);
    }
    pthread_mutex_unlock(&q->lock);
}

bool queue_closed(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

void queue_close(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    raise_fd(q);
    pthread_mutex_unlock(&q->lock);
}
