/* A bounded queue of pointers between threads; any thread puts, one thread gets. Full: put fails at once.
 * Replies reserve their slot before the request is sent, so they are never lost. */
#ifndef HONE_BASE_QUEUE_H
#define HONE_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue {
    pthread_mutex_t lock; /* protects everything below; a leaf lock */
    pthread_cond_t ready;
    void **slot;
    size_t cap, head, len, reserved;
    int wake_fd; /* eventfd, readable while something is there, a wake is pending or the queue is closed; immutable */
    bool closed, woken;
};

int queue_init(struct queue *q, size_t cap); /* 0, or -1 with errno */
void queue_release(struct queue *q); /* must be empty and unused */
int queue_put(struct queue *q, void *p); /* 0, or -1: full or closed */
int queue_reserve(struct queue *q); /* 0, or -1: full or closed */
void queue_put_reserved(struct queue *q, void *p);
void queue_unreserve(struct queue *q);
void *queue_get(struct queue *q, int timeout_ms); /* NULL: nothing in time; -1 waits for ever, 0 does not wait */
void queue_wake(struct queue *q); /* a queue_get that waits returns NULL now */
bool queue_closed(struct queue *q);
void queue_close(struct queue *q); /* puts fail, gets drain then return NULL */

#endif
