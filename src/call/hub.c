/* The hub: the table of commands, a queue for each owner thread, and the loops in which those threads serve their calls.
 * Knows nothing of what a command does. Jobs are in job.c, single calls in call.c. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/call/private.h"
#include "src/call/settings.h"

enum { QUEUE_CAP = 256 };

static const struct catalog no_catalogs[1];
static const struct key no_keys[1];

struct hub *hub_new(const struct cmd *const *const *cmds, struct runs *runs) {
    struct hub *h = X_NEW(struct hub, 1);
    size_t cap = 0;
    for (size_t l = 0; cmds[l]; l++)
        for (size_t i = 0; cmds[l][i]; i++) cap++;
    h->cmd = X_NEW(const struct cmd *, cap);
    for (size_t l = 0; cmds[l]; l++) {
        for (size_t i = 0; cmds[l][i]; i++) {
            const struct cmd *c = cmds[l][i];
            if (hub_find(h, c->kind.name)) BUG("two commands are named %s", c->kind.name);
            if (!c->run == !c->job || (c->job && c->owner != OWNER_ENGINE)) BUG("the row of %s has no way to run", c->kind.name);
            h->cmd[h->n_cmd++] = c;
        }
    }
    h->runs = runs;
    h->catalogs = no_catalogs;
    h->keys = no_keys;
    pthread_mutex_init(&h->lock, NULL);
    for (int o = 0; o < OWNER_N; o++)
        if (queue_init(&h->queue[o], QUEUE_CAP) != 0) BUG("no descriptor for a queue");
    return h;
}

void hub_free(struct hub *h) {
    if (!h) return;
    struct err e = {0};
    struct call *c;
    err_code(&e, ERR_STOPPED, "hone is ending");
    for (int o = 0; o < OWNER_N; o++) {
        queue_close(&h->queue[o]);
        while ((c = queue_get(&h->queue[o], 0))) call_fail(c, &e);
        queue_release(&h->queue[o]);
    }
    for (size_t i = 0; i < h->n_waiter; i++) call_fail(h->waiter[i].call, &e);
    for (size_t i = 0; i < h->n_job; i++) job_free(h->job[i]);
    edits_release(&h->undo);
    edits_release(&h->redo);
    buf_release(&h->history);
    pthread_mutex_destroy(&h->lock);
    free(h->job);
    free(h->waiter);
    free(h->work);
    free(h->parked);
    free(h->cmd);
    free(h);
}

void hub_set_catalogs(struct hub *h, const struct catalog *catalogs) { h->catalogs = catalogs ? catalogs : no_catalogs; }
const struct catalog *hub_catalogs(const struct hub *h) { return h->catalogs; }
void hub_set_keys(struct hub *h, const struct key *keys) { h->keys = keys ? keys : no_keys; }
const struct key *hub_keys(const struct hub *h) { return h->keys; }
struct runs *hub_runs(struct hub *h) {
    return h->runs;
}
void hub_add_resumer(struct hub *h) { atomic_store(&h->resumer, true); }
bool hub_can_resume(struct hub *h) { return atomic_load(&h->resumer); }
size_t hub_count(const struct hub *h) { return h->n_cmd; }
const struct cmd *hub_cmd(const struct hub *h, size_t i) { return i < h->n_cmd ? h->cmd[i] : NULL; }
struct queue *hub_queue(struct hub *h, enum owner o) {
    return &h->queue[o];
}
void hub_set_read_only(struct hub *h, const char *why) { h->read_only = why; }
const char *hub_read_only(const struct hub *h) { return h->read_only; }

bool hub_acts(const struct cmd *cmd, const struct val *args) {
    if (cmd->flags & CMD_WATCHER || cmd->owner == OWNER_UI) return false;
    const char *name = strcmp(cmd->kind.name, "set") == 0 ? val_get_str(args, "name", NULL) : NULL;
    return !name || !args_find(&settings_kind, name);
}

void hub_absent(struct hub *h, enum owner o) { queue_close(&h->queue[o]); }

const struct cmd *hub_find(const struct hub *h, const char *name) {
    for (size_t i = 0; i < h->n_cmd; i++) {
        const char *a = h->cmd[i]->kind.name, *b = name;
        while (*a && (*a == *b || (*a == '_' && *b == '-'))) a++, b++; /* a dash is as good as an underscore */
        if (!*a && !*b) return h->cmd[i];
    }
    return NULL;
}

int hub_serve(struct hub *h, enum owner o, int timeout_ms) {
    int n = 0;
    struct call *c;
    for (; n < QUEUE_CAP && (c = queue_get(&h->queue[o], n ? 0 : timeout_ms)); n++) call_serve(c);
    return n;
}

void hub_quit(struct hub *h) {
    atomic_store(&h->quit, true);
    pthread_mutex_lock(&h->lock);
    size_t n = h->n_job;
    pthread_mutex_unlock(&h->lock);
    while (n-- > 0) { /* the newest first, so that none starts while the one before it ends */
        pthread_mutex_lock(&h->lock);
        struct job *j = h->job[n]; /* jobs stay until hub_free; the array may move */
        pthread_mutex_unlock(&h->lock);
        hub_stop(h, j, STOP_AFTER_STEP);
    }
    for (int o = 0; o < OWNER_N; o++) queue_close(&h->queue[o]);
}

const char *const by_names[BY_N] = {"user", "key", "palette", "prompt", "script", "line", "socket", "config", "hone"}; /* ORDER enum by */
