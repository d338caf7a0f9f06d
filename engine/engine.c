/* Start and stop of the engine: choices before any thread, then the engine thread (calls and jobs) and the helper thread (files,
 * network). What exists in the engine is told to the fronts as catalogues of kinds. */
#include "config.h"

#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/data.h"
#include "engine/cmds/pick.h"
#include "engine/compress/compress.h"
#include "engine/cpu/gemm.h"
#include "engine/graph/backend.h"
#include "engine/graph/gpus.h"
#include "engine/graph/op.h"
#include "engine/layers/layer.h"
#include "engine/optims/optim.h"
#include "engine/train/loss.h"
#include "engine/train/parallel.h"
#include "engine/train/sched.h"
#include "src/base/log.h"
#include "src/base/thread.h"
#include "src/run/record.h"

static struct {
    struct hub *hub; /* set before the threads start */
    pthread_t engine, helper;
    bool engine_on, helper_on; /* main thread only */
    _Atomic bool quit;
} eng;

static void *engine_thread(void *arg) {
    hub_engine_loop(arg);
    backends_close();
    return NULL;
}

static void *helper_thread(void *arg) {
    while (!atomic_load(&eng.quit))
        if (hub_serve(arg, OWNER_HELPER, -1) == 0) {
            struct queue *q = hub_queue(arg, OWNER_HELPER);
            pthread_mutex_lock(&q->lock);
            bool closed = q->closed && q->len == 0;
            pthread_mutex_unlock(&q->lock);
            if (closed) break;
        }
    return NULL;
}

/* The driver reports an error of a device that is open: an alert of the run that goes on, else a line of the log. */
static void gpu_error(void *ctx, const char *sentence, bool fatal) {
    struct runs *rs = hub_runs(ctx);
    struct run *r = rs ? runs_current(rs) : NULL;
    if (!r || run_state_ended(run_state(r))) {
        log_write(fatal ? LOG_ERROR : LOG_WARN, "%s", sentence);
        return;
    }
    run_say(r, "alert", -1, fatal ? "error" : "warn", sentence);
}

int engine_start(struct hub *h, struct err *e) {
    pick_runs(hub_runs(h) ? runs_dir(hub_runs(h)) : NULL);
    eng.hub = h;
    atomic_store(&eng.quit, false);
    data_interrupt(false);
    gpus_on_error(gpu_error, h);
    if (thread_start(&eng.engine, "hone-engine", engine_thread, h, e) < 0) return -1;
    eng.engine_on = true;
    if (thread_start(&eng.helper, "hone-helper", helper_thread, h, e) < 0) {
        engine_stop();
        return -1;
    }
    eng.helper_on = true;
    return 0;
}

void engine_stop(void) {
    if (!eng.hub) return;
    atomic_store(&eng.quit, true);
    data_interrupt(true);
    hub_quit(eng.hub);
    queue_wake(hub_queue(eng.hub, OWNER_HELPER));
    if (eng.engine_on) pthread_join(eng.engine, NULL);
    if (eng.helper_on) pthread_join(eng.helper, NULL);
    gpus_stop();
    eng.engine_on = eng.helper_on = false;
    eng.hub = NULL;
}

int engine_device(const char *name, struct err *e) { return backend_there(name, e); }

void engine_version(struct buf *b) {
    const struct gemm_info *g = gemm_info();
    buf_addf(b, "kernels %s, products by %s", ops_isa(), g->library[0] ? g->library : "the plain kernel");
    if (g->core[0]) buf_addf(b, " (%s)", g->core);
}

/* Groups of constructors; their kinds are known once the instruction set is chosen. Ends with group == NULL. */
static struct catalog catalogs[] = {
    {"nn", "layer", NULL},
    {"optim", "optim", NULL},
    {"sched", "sched", sched_kinds},
    {"loss", "loss", loss_kinds},
    {"quant", "quant", NULL},
    {"prune", "prune", NULL},
    {"metric", NULL, NULL},
    {NULL, NULL, NULL},
};
const struct catalog *const engine_catalogs = catalogs;

int engine_init(struct err *e) {
    struct gemm_info info;
    const char *isa = getenv("HONE_ISA");
    if (ops_select(isa && *isa ? isa : "auto", e) < 0) return err_wrap(e, "HONE_ISA");
    gemm_open(NULL, &info);
    catalogs[0].kinds = layer_kinds();
    catalogs[1].kinds = optim_kinds();
    for (struct catalog *c = catalogs; c->group; c++)
        if (strcmp(c->group, "metric") == 0) c->kinds = metric_kinds();
        else if (strcmp(c->group, "quant") == 0 || strcmp(c->group, "prune") == 0) c->kinds = compressor_kinds(c->group);
    return 0;
}

int engine_rank(int rank, struct err *e) {
    if (engine_init(e) < 0) return -1;
    return parallel_serve(rank, 3, e);
}
