/* run:on(event, fn): events of the run record become coroutines of the script thread. The engine never waits for them and an error
 * in one is a notice. Events of a run that came before the subscription are delivered too, so that none is missed. */
#include "config.h"

#include "src/script/state.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

#define MAX_CALLBACKS 256 /* waiting or running at once; more are dropped with a notice */

struct pass {
    struct script *s;
    struct sub *only; /* of a new subscription: the events so far */
    uint64_t before;
};

struct event {
    const struct val *ev;
    int ref;
    lua_State *co;
};
static int push_event(lua_State *L) {
    struct event *e = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
    val_push_lua(L, e->ev);
    lua_xmove(L, e->co, 2);
    return 0;
}

static void deliver(struct script *s, struct sub *b, const struct val *ev) {
    size_t n = 0;
    for (struct task *t = s->tasks; t; t = t->next) n += t->kind == TASK_CALLBACK;
    if (n >= MAX_CALLBACKS) {
        runs_notice(hub_runs(s->hub), "warn", "an event was not delivered to run:on, because 256 callbacks are still running");
        return;
    }
    struct task *t = task_new(s, TASK_CALLBACK, b->event);
    if (!t) return;
    struct event e = {ev, b->ref, t->co};
    struct err why = {0};
    lua_pushcfunction(s->L, push_event);
    lua_pushlightuserdata(s->L, &e);
    t->nargs = 1;
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK) {
        task_start(t);
        return;
    }
    err_set(&why, "the event does not fit into the script's memory");
    lua_pop(s->L, 1);
    task_end(s, t, -1, &why, NULL);
}

static bool wants(struct script *s, struct sub *b, const struct val *ev) {
    if (b->h.id && !b->run) { /* the engine had not begun the job yet */
        struct job *j = hub_job(s->hub, b->h);
        struct run *r = j ? hub_job_run(j) : NULL;
        if (!r) return false;
        b->run = mem_str(run_name(r));
    }
    const char *event = val_get_str(ev, "event", ""), *run = val_get_str(ev, "run", "");
    return (strcmp(b->event, event) == 0 || strcmp(b->event, "*") == 0) && (!b->run || strcmp(b->run, run) == 0);
}

/* The ring's lock may be held while this runs, so the values are only copied here. */
struct kept {
    struct val **v;
    size_t n;
    struct pass *p;
};
static void keep(void *ctx, uint64_t seq, const struct val *ev) {
    struct kept *k = ctx;
    if (k->p->only && seq >= k->p->before) return;
    k->v = X_GROW(k->v, struct val *, k->n + 1);
    k->v[k->n++] = val_copy(ev);
}

static void run_pass(struct pass *p, uint64_t since, uint64_t *next) {
    struct script *s = p->s;
    struct kept k = {NULL, 0, p};
    uint64_t lost = 0, to = runs_events(hub_runs(s->hub), since, keep, &k, &lost);
    if (next) *next = to;
    if (lost && next && s->subs) runs_notice(hub_runs(s->hub), "warn", "events were overwritten before run:on saw them");
    for (size_t i = 0; i < k.n; i++)
        for (struct sub *b = p->only ? p->only : s->subs; b; b = p->only ? NULL : b->next)
            if (wants(s, b, k.v[i])) deliver(s, b, k.v[i]);
    for (size_t i = 0; i < k.n; i++) val_free(k.v[i]);
    free(k.v);
}

void on_events(struct script *s) {
    struct pass p = {s, NULL, 0};
    if (!hub_runs(s->hub)) return;
    if (!s->subs) s->next_event = runs_next_event(hub_runs(s->hub));
    else run_pass(&p, s->next_event, &s->next_event);
}

/* run:on(event, fn) or hone.on(event, fn) */
int on_lua(lua_State *L) {
    struct script *s = state_of(L);
    const struct handle *h = bind_is_handle(L, 1);
    int a = h ? 2 : 1;
    const char *event = luaL_checkstring(L, a);
    luaL_checktype(L, a + 1, LUA_TFUNCTION);
    if (!hub_runs(s->hub)) return luaL_error(L, "there is no run record to watch");
    if (h && !hub_job(s->hub, *h)) return luaL_error(L, "%s has no events: on is a method of a run", luaL_tolstring(L, 1, NULL));
    if (strcmp(event, "alert") == 0) hub_add_resumer(s->hub); /* it may mend what made the run pause */
    lua_pushvalue(L, a + 1);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct sub *b = X_NEW(struct sub, 1);
    *b = (struct sub){NULL, mem_str(event), h ? *h : (struct handle){0}, ref, NULL};
    if (!s->subs) s->next_event = runs_next_event(hub_runs(s->hub));
    struct sub **end = &s->subs;
    while (*end) end = &(*end)->next;
    *end = b;
    struct pass p = {s, b, s->next_event};
    if (h) run_pass(&p, 0, NULL);
    lua_settop(L, h ? 1 : 0);
    return h ? 1 : 0;
}

void on_release(struct script *s) {
    while (s->subs) {
        struct sub *b = s->subs;
        s->subs = b->next;
        free(b->run);
        free(b->event);
        free(b);
    }
}
