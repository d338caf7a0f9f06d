/* The script thread: one loop over its inbox (prompt lines, completions), the commands of OWNER_SCRIPT, replies to its own calls
 * and news of the run record. Every thread may use the port; only this thread touches the Lua state. */
#include "config.h"

#include "src/script/script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/script/state.h"

#define INBOX 256
#define REPLIES 1024
#define MEMORY_DEFAULT ((size_t)256 << 20)

static void (*print_fn)(void *ctx, const char *text, size_t n); /* set before the thread starts */
static void *print_ctx;
static size_t memory_cap = MEMORY_DEFAULT;

void script_on_print(void (*fn)(void *ctx, const char *text, size_t n), void *ctx) {
    print_fn = fn;
    print_ctx = ctx;
}
void script_memory(size_t bytes) { memory_cap = bytes; }

static void msg_free(struct msg *m) {
    free(m->text);
    free(m->chunk);
    free(m);
}

/* ---- the port: any thread ---- */
static void wake(struct script *s) {
    ssize_t n = write(s->wake[1], "!", 1); /* full: it will wake anyway */
    (void)n;
}

static int port_eval(void *ctx, const char *text, size_t n, const char *chunk, struct queue *reply, void *tag, struct err *e) {
    struct script *s = ctx;
    if (queue_reserve(reply) != 0) return err_set(e, "the prompt has too many answers outstanding: wait for the evaluation or press Ctrl-C");
    struct msg *m = X_NEW(struct msg, 1);
    *m = (struct msg){.kind = MSG_EVAL,
        .text = mem_strn(text, n),
        .n = n,
        .chunk = mem_str(chunk ? chunk : "prompt"),
        .reply = reply,
        .tag = tag,
        .seq = atomic_fetch_add(&s->submitted, 1) + 1};
    atomic_fetch_add(&s->live, 1); /* busy from now on; taken back when the task is made */
    if (queue_put(&s->inbox, m) == 0) return 0;
    atomic_fetch_sub(&s->live, 1);
    queue_unreserve(reply);
    msg_free(m);
    return err_set(e, "the script thread is busy and its queue is full: press Ctrl-C to interrupt it");
}

void script_interrupt(struct script *s) {
    int none = 0;
    atomic_store(&s->intr_upto, atomic_load(&s->submitted));
    atomic_compare_exchange_strong(&s->intr, &none, 1);
    shell_interrupt();
    wake(s);
}

static void port_interrupt(void *ctx) { script_interrupt(ctx); }
static bool port_busy(void *ctx) { return atomic_load(&((struct script *)ctx)->live) > 0; }
static bool port_scripted(void *ctx) { return atomic_load(&((struct script *)ctx)->scripts) > 0; }
static struct val *port_complete(void *ctx, const char *line, size_t pos) { return complete_ask(ctx, line, pos); }

/* ---- the thread ---- */
static void eval(struct script *s, struct msg *m) {
    struct task *t = task_new(s, TASK_PROMPT, m->chunk);
    bool incomplete = false;
    if (!t) {
        struct script_reply *r = X_NEW(struct script_reply, 1);
        *r = (struct script_reply){.tag = m->tag, .status = -1, .text = mem_str("the script's memory is used up: set the tables you no longer need to nil")};
        queue_put_reserved(m->reply, r);
        return;
    }
    t->reply = m->reply;
    t->tag = m->tag;
    t->seq = m->seq;
    t->text = m->text;
    m->text = NULL;
    if (chunk_prompt(s, t, t->text, m->n, &incomplete) == 0) {
        task_start(t);
        return;
    }
    if (incomplete) {
        struct script_reply *r = X_NEW(struct script_reply, 1);
        *r = (struct script_reply){.tag = m->tag, .incomplete = true, .status = -1, .text = mem_str(t->err.text)};
        queue_put_reserved(m->reply, r);
        t->kind = TASK_CONFIG; /* answered: it ends without a reply */
        task_end(s, t, 0, NULL, NULL);
    } else task_end(s, t, -1, &t->err, NULL);
}

static void take_inbox(struct script *s) {
    struct msg *m;
    while ((m = queue_get(&s->inbox, 0))) {
        if (m->kind == MSG_EVAL) {
            eval(s, m);
            atomic_fetch_sub(&s->live, 1);
        } else complete_answer(s, m->ask);
        msg_free(m);
    }
}

void script_replies(struct script *s) {
    struct call *c;
    while ((c = queue_get(&s->replies, 0))) {
        struct wait *w = c->ctx;
        s->outstanding--;
        if (w->box) w->done = c;
        else {
            call_free(c);
            task_wait_free(w);
        }
    }
}

static bool runnable(const struct script *s) {
    for (const struct task *t = s->tasks; t; t = t->next)
        if (!t->running && !t->draining && (t->queued || (t->wait && (t->wait->done || t->wait->interrupted)))) return true;
    return false;
}

static bool empty_wake(struct script *s) {
    char junk[256];
    bool any = false;
    while (read(s->wake[0], junk, sizeof junk) > 0) any = true;
    return any;
}

void script_serve(struct script *s, int timeout_ms) {
    struct queue *hub = hub_queue(s->hub, OWNER_SCRIPT);
    struct pollfd p[4] = {{.fd = s->wake[0], .events = POLLIN}, {.fd = s->inbox.wake_fd, .events = POLLIN}, {.fd = s->replies.wake_fd, .events = POLLIN},
        {.fd = hub ? hub->wake_fd : -1, .events = POLLIN}};
    if (atomic_load(&s->intr) || (s->depth <= 8 && runnable(s))) timeout_ms = 0;
    else if (task_draining(s) && (timeout_ms < 0 || timeout_ms > 50)) timeout_ms = 50;
    poll(p, LEN(p), timeout_ms);
    bool news = empty_wake(s);
    if (atomic_load(&s->intr)) { /* means what was submitted before it */
        take_inbox(s);
        task_interrupt_waiting(s);
    }
    if (p[3].revents && hub_serve(s->hub, OWNER_SCRIPT, 0) == 0) clock_sleep(0.001); /* closed: its descriptor stays readable */
    take_inbox(s);
    script_replies(s);
    if (news) on_events(s);
    task_drain(s);
    task_run_ready(s);
}

char *script_config(void) {
    char *path = io_config_path("config.lua");
    if (path && io_exists(path)) return path;
    free(path);
    return NULL;
}

static void *loop(void *arg) {
    struct script *s = arg;
    if (s->config) cmds_run_file(s, NULL, s->config, NULL, NULL);
    atomic_fetch_sub(&s->live, 1); /* the task counts itself */
    while (!atomic_load(&s->quit)) script_serve(s, -1);
    take_inbox(s);
    task_kill_all(s);
    return NULL;
}

/* ---- start and stop ---- */
static void script_free(struct script *s) {
    state_close(s);
    on_release(s);
    buf_release(&s->show);
    buf_release(&s->text);
    queue_release(&s->inbox);
    queue_release(&s->replies);
    if (s->wake[0] >= 0) close(s->wake[0]), close(s->wake[1]);
    free(s->lib_dirs);
    free(s->config);
    free(s);
}

int script_start(struct hub *h, const struct catalog *catalogs, const char *lib_dirs, struct script_port *out, struct err *e) {
    struct script *s = X_NEW(struct script, 1);
    s->hub = h;
    s->catalogs = catalogs;
    s->lib_dirs = mem_str(lib_dirs ? lib_dirs : "");
    s->print = print_fn;
    s->print_ctx = print_ctx;
    s->cap = memory_cap;
    s->wake[0] = s->wake[1] = -1;
    if (queue_init(&s->inbox, INBOX) != 0 || queue_init(&s->replies, REPLIES) != 0 || pipe2(s->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        err_set(e, "the script thread cannot be started: %s", strerror(errno));
        goto fail;
    }
    if (state_open(s, e) != 0) goto fail;
    if (hub_runs(h) && runs_watch(hub_runs(h), s->wake[1]) != 0) {
        err_set(e, "the run record has no room for another reader");
        goto fail;
    }
    s->config = script_config();
    atomic_store(&s->live, 1); /* busy until the configuration was run */
    *out = (struct script_port){
        .ctx = s, .eval = port_eval, .interrupt = port_interrupt, .busy = port_busy, .scripted = port_scripted, .complete = port_complete};
    cmds_bind(s);
    if (thread_start(&s->thread, "hone-script", loop, s, e) == 0) return 0;
    if (hub_runs(h)) runs_unwatch(hub_runs(h), s->wake[1]);
    cmds_bind(NULL);
fail:
    *out = (struct script_port){0};
    script_free(s);
    return -1;
}

void script_stop(struct script_port *p) {
    struct script *s = p->ctx;
    if (!s) return;
    atomic_store(&s->quit, true);
    wake(s);
    pthread_join(s->thread, NULL);
    cmds_bind(NULL);
    if (hub_runs(s->hub)) runs_unwatch(hub_runs(s->hub), s->wake[1]);
    *p = (struct script_port){0};
    for (double end = clock_now() + 2; s->outstanding && clock_now() < end; clock_sleep(0.005)) script_replies(s);
    if (s->outstanding) { /* a call that never comes back still points at the queue: it is left to the process' end */
        state_close(s);
        return;
    }
    script_free(s);
}

int script_run_file(struct hub *h, const char *path, const char *text, int argc, const char *const *argv, struct queue *reply, void *ctx, struct err *e) {
    struct val *args = val_table(), *list = val_table();
    val_set_str(args, "path", path);
    for (int i = 0; i < argc; i++) val_push(list, val_str(argv[i]));
    val_set(args, "args", list);
    if (text) val_set_str(args, "text", text);
    struct call *c = call_new(h, "run_script", args, BY_LINE, e);
    return c ? call_submit(c, reply, ctx, e) : -1;
}
