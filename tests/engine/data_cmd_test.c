/* The data commands through the hub: load by name, fields of the handles, show, ls, fetch's refusals, dead handles. */
#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "engine/cmds/data.h"
#include "engine/cmds/objects.h"
#include "src/base/buf.h"
#include "src/base/thread.h"
#include "src/call/call.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "tests/tap.h"

extern const struct cmd cmd_data, cmd_data_fetch, cmd_data_ls, cmd_data_show, cmd_field;
static const struct cmd *const list[] = {&cmd_data, &cmd_data_fetch, &cmd_data_ls, &cmd_data_show, &cmd_field, NULL};
static const struct cmd *const *const lists[] = {list, NULL};
static _Atomic bool quit;

static void *helper(void *hub) {
    while (!atomic_load(&quit)) hub_serve(hub, OWNER_HELPER, 20);
    return NULL;
}

static struct val *call(struct hub *h, const char *name, struct val *args, struct err *e) {
    struct val *r = NULL;
    memset(e, 0, sizeof *e);
    return call_sync(h, name, args, BY_SCRIPT, &r, e) ? NULL : r;
}
static struct val *field(struct hub *h, struct handle of, struct val *name_take, struct err *e) {
    struct val *t = val_table();
    val_push(t, val_handle(of));
    val_push(t, name_take);
    return call(h, "field", t, e);
}
static struct val *named(const char *name) {
    struct val *t = val_table();
    val_push(t, val_str(name));
    return t;
}

static void loaded(struct hub *h, struct handle d) {
    struct err e;
    struct val *train = field(h, d, val_str("train"), &e), *classes = field(h, d, val_str("classes"), &e), *v;
    tap_ok(train && train->type == VAL_HANDLE && train->u.h.kind == HANDLE_PART && val_len(classes) == 77, "d.train is a part, d.classes are 77 names");
    v = field(h, train->u.h, val_str("#"), &e);
    tap_ok(v && v->u.i == 9003, "#d.train is 9003");
    val_free(v);
    v = field(h, train->u.h, val_int(1), &e);
    tap_ok(v && !strcmp(val_get_str(v, "text", ""), "I am still waiting on my card?") && !strcmp(val_get_str(v, "class", ""), "card_arrival") &&
               val_len(val_get(v, "tokens")) == 7,
        "d.train[1] has its text, class and tokens");
    val_free(v);
    v = field(h, train->u.h, val_int(9004), &e);
    tap_ok(v && v->type == VAL_NIL, "behind the end is nil");
    val_free(v);
    v = field(h, d, val_str("test"), &e);
    val_free(v);
    tap_ok(!field(h, d, val_str("trian"), &e) && strstr(e.text, "did you mean train?"), "a wrong field: %s", e.text);
    tap_ok(!field(h, d, val_str("#"), &e) && strstr(e.text, "#d.train"), "the length of a set: %s", e.text);
    tap_ok(!field(h, d, val_int(1), &e) && strstr(e.text, "d.train[1]"), "an example of a set: %s", e.text);
    val_free(train);
    val_free(classes);
}

int main(void) {
    struct err e;
    struct buf samples = BUF_INIT;
    pthread_t t;
    const char *src = getenv("top_srcdir");
    settings_init();
    unsetenv("HONE_DATA");
    buf_addf(&samples, "%s/datasets/samples", src ? src : ".");
    struct val *dir = val_str(samples.data);
    if (settings_set("data", dir, NULL, &e)) BUG("%s", e.text);
    val_free(dir);
    struct runs *runs = runs_new(NULL);
    struct hub *h = hub_new(lists, runs);
    if (thread_start(&t, "helper", helper, h, &e)) BUG("%s", e.text);

    struct val *a = named("banking77");
    val_set_int(a, "val", 1000);
    struct val *d = call(h, "data", a, &e);
    if (tap_ok(d && d->type == VAL_HANDLE && d->u.h.kind == HANDLE_DATA, "data gives a handle %s", e.text)) {
        loaded(h, d->u.h);
        struct dataset *ds = objects_data(d->u.h, &e);
        tap_ok(ds && ds->part[PART_VAL].n == 1000, "the handle stands for the data set");
        dataset_unref(ds);
        tap_ok(!objects_model(d->u.h, &e) && strstr(e.text, "a model is needed here"), "it is no model: %s", e.text);
        tap_ok(objects_at(HANDLE_DATA, 0).id == d->u.h.id && !objects_at(HANDLE_DATA, 1).id, "it is the only one");
        tap_ok(!objects_drop_data(d->u.h, &e) && !objects_data(d->u.h, &e) && strstr(e.text, "any more"), "dropped, its handle is dead: %s", e.text);
    }
    val_free(d);
    struct val *v = call(h, "data_show", named("german-credit"), &e);
    tap_ok(v && val_len(val_get(v, "classes")) == 2 && strlen(val_get_str(val_at(val_get(v, "files"), 0), "sha256", "")) == 64,
        "data_show tells files and classes %s", e.text);
    val_free(v);
    v = call(h, "data_ls", NULL, &e);
    const struct val *sample = NULL;
    for (size_t i = 0; i < val_len(v); i++)
        if (strcmp(val_get_str(val_at(v, i), "name", ""), "banking77") == 0) sample = val_at(v, i);
    tap_ok(val_len(v) >= 10 && strstr(val_get_str(sample, "path", ""), "samples/banking77"), "data_ls tells where the sets lie");
    val_free(v);
    tap_ok(!call(h, "data_fetch", named("imbd"), &e) && strstr(e.text, "did you mean imdb?"), "a wrong name to fetch: %s", e.text);
    tap_ok(!call(h, "data", named("imdb"), &e) && strstr(e.text, "is in none of these folders"), "a set that is not here: %s", e.text);
    a = named("banking77");
    val_set_int(a, "vocabulary", 7);
    tap_ok(!call(h, "data", a, &e) && e.code == ERR_USAGE, "a wrong argument: %s", e.text);
    data_interrupt(true);
    tap_ok(!call(h, "data", named("banking77"), &e) && e.code == ERR_STOPPED, "a load that is interrupted: %s", e.text);
    data_interrupt(false);
    atomic_store(&quit, true);
    pthread_join(t, NULL);
    hub_quit(h);
    hub_free(h);
    runs_free(runs);
    objects_release(NULL);
    buf_release(&samples);
    return tap_done();
}
