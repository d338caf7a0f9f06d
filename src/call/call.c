/* One call: made from a table, submitted, served on its owner's thread, answered; its Lua text. Lines of words are in parse.c. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/call/parse.h"
#include "src/call/private.h"
#include "src/call/settings.h"
#include "src/run/record.h"

struct call *call_new(struct hub *h, const char *name, struct val *args_take, enum by by, struct err *e) {
    const struct cmd *cmd = hub_find(h, name);
    struct val *args = cmd ? NULL : parse_unknown(h, name, e);
    if (cmd) {
        parse_resolve(h, &cmd->kind, args_take);
        args = args_normalise(&cmd->kind, args_take, e);
    }
    val_free(args_take);
    if (!args) return NULL;
    struct call *c = X_NEW(struct call, 1);
    c->cmd = cmd;
    c->args = args;
    c->by = by;
    c->hub = h;
    return c;
}

void call_free(struct call *c) {
    if (!c) return;
    val_free(c->args);
    val_free(c->result);
    free(c);
}

/* The call leaves this thread here: nothing may touch it afterwards. */
static void finish(struct call *c) {
    if (c->reply) {
        queue_put_reserved(c->reply, c);
        return;
    }
    if (c->status != 0 && c->hub->runs) runs_notice(c->hub->runs, c->err.code == ERR_STOPPED ? "info" : "error", c->err.text); /* stopped: by the user */
    call_free(c);
}

void call_fail(struct call *c, const struct err *e) {
    c->status = -1;
    c->err = *e;
    finish(c);
}

/* Runs the command. True: it deferred, and may be gone already. */
static bool run_here(struct call *c) {
    bool deferred = false;
    void *args = mem_new(1, c->cmd->kind.size ? c->cmd->kind.size : 1);
    c->deferred = &deferred;
    c->status = args_parse(&c->cmd->kind, c->args, args, &c->err);
    if (c->status == 0) {
        const struct cmd *cmd = c->cmd;
        int rc = cmd->run(c, args, &c->err);
        args_release(&cmd->kind, args);
        if (!deferred) c->status = rc;
        else ASSERT_HONE(rc == 0);
    }
    free(args);
    if (deferred) return true;
    c->deferred = NULL;
    if (c->status == 0) journal_call(c->hub, c);
    return false;
}

void call_serve(struct call *c) {
    if (!run_here(c)) finish(c);
}

void call_result(struct call *c, struct val *v_take) {
    val_free(c->result);
    c->result = v_take;
}

void call_defer(struct call *c) {
    ASSERT_HONE(c->deferred);
    *c->deferred = true;
    c->deferred = NULL;
}

void call_done(struct call *c, int status) {
    c->status = status;
    finish(c);
}

static int refuse_full(struct hub *h, const struct cmd *cmd, struct err *e) {
    static const char *const nobody[OWNER_N] = {"it needs the dashboard, and there is none here", "it needs a script, and none runs here",
        "the engine does not run here", "the helper thread does not run here", ""}; /* ORDER enum owner */
    if (atomic_load(&h->quit)) return err_code(e, ERR_STOPPED, "%s: hone is ending", cmd->kind.name);
    if (queue_reserve(&h->queue[cmd->owner]) == 0) queue_unreserve(&h->queue[cmd->owner]); /* there was no room a moment ago */
    else if (queue_closed(&h->queue[cmd->owner])) return err_set(e, "%s: %s", cmd->kind.name, nobody[cmd->owner]);
    return err_set(e, "%s: too many calls are waiting already; try again when some are done", cmd->kind.name);
}

int call_submit(struct call *c_take, struct queue *reply, void *ctx, struct err *e) {
    struct call *c = c_take;
    struct hub *h = c->hub;
    const struct cmd *cmd = c->cmd;
    if (h->read_only && hub_acts(cmd, c->args)) {
        call_free(c);
        return err_code(e, ERR_USAGE, "%s", h->read_only);
    }
    if (reply && queue_reserve(reply) != 0) {
        call_free(c);
        return err_set(e, "%s: nobody takes the answers, so nothing more is asked", cmd->kind.name);
    }
    c->reply = reply;
    c->ctx = ctx;
    if (cmd->owner == OWNER_ANY) {
        if (run_here(c)) return 0;
        if (reply || c->status == 0) {
            finish(c);
            return 0;
        }
        if (e) *e = c->err;
        call_free(c);
        return -1;
    }
    if (queue_put(&h->queue[cmd->owner], c) == 0) return 0;
    if (reply) queue_unreserve(reply);
    call_free(c);
    return refuse_full(h, cmd, e);
}

int call_sync(struct hub *h, const char *name, struct val *args_take, enum by by, struct val **result, struct err *e) {
    struct queue reply;
    struct call *c = call_new(h, name, args_take, by, e);
    if (!c) return -1;
    if (queue_init(&reply, 1) != 0) {
        call_free(c);
        return err_sys(e, "make", "a queue");
    }
    int rc = call_submit(c, &reply, NULL, e);
    if (rc == 0) {
        while (!(c = queue_get(&reply, -1))) {}
        rc = c->status;
        if (rc != 0 && e) *e = c->err;
        if (rc == 0 && result) {
            *result = c->result;
            c->result = NULL;
        }
        call_free(c);
    }
    queue_release(&reply);
    return rc;
}

/* ---- as Lua ---- */

static bool is_run(const struct val *v) { return v && v->type == VAL_HANDLE && (v->u.h.kind == HANDLE_RUN || v->u.h.kind == HANDLE_JOB); }

/* The line that sets a property; force: an edit of more than 10x, which a replay must not be asked about again. */
void call_lua_set(struct buf *out, const char *name, const struct val *value, bool setting, bool force) {
    struct val *n = val_str(name);
    if (setting) buf_addf(out, "hone.prop.%s = ", name);
    else buf_adds(out, force ? "run:set{" : "run:set(");
    if (!setting) lua_write(out, n), buf_adds(out, ", ");
    lua_write(out, value);
    if (!setting) buf_adds(out, force ? ", force=true}" : ")");
    val_free(n);
}

void call_lua(const struct call *c, struct buf *out) {
    const struct arg *first = c->cmd->kind.args;
    const struct val *target = first && first->name && first->type == ARG_HANDLE ? val_get(c->args, first->name) : NULL;
    if (strcmp(c->cmd->kind.name, "set") == 0) {
        const char *name = val_get_str(c->args, "name", "");
        bool setting = !target && args_find(&settings_kind, name);
        call_lua_set(out, name, val_get(c->args, "value"), setting, val_get_bool(c->args, "force", false));
        return;
    }
    struct val *rest = val_copy(c->args);
    if (is_run(target)) buf_addf(out, "run:%s", c->cmd->kind.name);
    else if (target) {
        lua_write(out, target);
        buf_addf(out, ":%s", c->cmd->kind.name);
    } else buf_addf(out, "hone.%s", c->cmd->kind.name);
    if (target) val_unset(rest, first->name);
    if (target && rest->u.t.n_field == 0) buf_adds(out, "()");
    else lua_write(out, rest);
    val_free(rest);
}

/* ---- the journal ---- */

/* In a journal the things that earlier lines made have names: hone.handle{"model#3"} becomes model_3. */
static void name_handles(struct buf *out, const char *lua) {
    static const char mark[] = "hone.handle{\"";
    const char *at, *end, *hash;
    while ((at = strstr(lua, mark)) && (end = strstr(at, "\"}")) && (hash = strchr(at, '#')) && hash < end) {
        const char *kind = at + sizeof mark - 1;
        buf_add(out, lua, (size_t)(at - lua));
        if (strncmp(kind, "run#", 4) == 0 || strncmp(kind, "job#", 4) == 0) buf_adds(out, "run");
        else {
            buf_add(out, kind, (size_t)(hash - kind));
            buf_addc(out, '_');
            buf_add(out, hash + 1, (size_t)(end - hash - 1));
        }
        lua = end + 2;
    }
    buf_adds(out, lua);
}

static void journal_text(const struct call *c, struct buf *out) {
    struct buf b = BUF_INIT;
    call_lua(c, &b);
    name_handles(out, b.data);
    buf_release(&b);
}

void hub_journal(struct hub *h, const struct call *c, int64_t step) {
    struct buf b = BUF_INIT;
    if (!h->runs) return;
    journal_text(c, &b);
    run_journal(h->runs, NULL, b.data, step);
    buf_release(&b);
}

void journal_call(struct hub *h, const struct call *c) {
    enum { HISTORY_MAX = 262144 }; /* bytes; what comes later is in its own run's journal only */
    struct buf b = BUF_INIT, line = BUF_INIT;
    bool made = c->result && c->result->type == VAL_HANDLE && !is_run(c->result); /* a model, a data set: later lines name it */
    if ((c->cmd->owner != OWNER_ENGINE && !made) || c->cmd->flags & (CMD_WATCHER | CMD_HIDDEN) || !h->runs) return;
    if (strcmp(c->cmd->kind.name, "set") == 0 || strcmp(c->cmd->kind.name, "undo") == 0 || strcmp(c->cmd->kind.name, "redo") == 0)
        return; /* their edit event brings the line */
    journal_text(c, &b);
    if (made) buf_addf(&line, "%s_%u = %s", handle_names[c->result->u.h.kind % HANDLE_KINDS], c->result->u.h.id, b.data);
    else buf_adds(&line, b.data);
    run_journal(h->runs, NULL, line.data, -1);
    pthread_mutex_lock(&h->lock);
    if (h->history.len + line.len < HISTORY_MAX) {
        buf_add(&h->history, line.data, line.len);
        buf_addc(&h->history, '\0');
    }
    pthread_mutex_unlock(&h->lock);
    buf_release(&b);
    buf_release(&line);
}

void journal_job(struct job *j) {
    struct hub *h = j->hub;
    struct run *r = j->run;
    struct buf lines = BUF_INIT, own = BUF_INIT;
    if (j->journaled || !r || !h->runs) return;
    j->journaled = true;
    pthread_mutex_lock(&h->lock);
    buf_add(&lines, h->history.data, h->history.len);
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < lines.len; i += strlen(lines.data + i) + 1) run_journal(h->runs, r, lines.data + i, -1);
    journal_text(j->call, &own);
    run_journal(h->runs, r, own.data, 0);
    buf_release(&lines);
    buf_release(&own);
}
