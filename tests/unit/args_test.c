/* Argument tables: parsing, sentences, defaults, live sets, nearest names; value trees; handles as text. */
#include "config.h"

#include "src/base/args.h"
#include "src/base/json.h"
#include "src/base/err.h"
#include "tests/tap.h"

static const char *const colors[] = {"auto", "256", "none", NULL};
struct t {
    struct handle h;
    int64_t epochs;
    double lr;
    char *name, *path;
    int color;
    bool fast;
    struct arg_shape shape;
    struct val *table, *any;
};
#define AT(f) offsetof(struct t, f)
static const struct arg t_args[] = {{"run", "the run", NULL, NULL, ARG_HANDLE, AT(h), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_RUN},
    {"name", "its name", NULL, NULL, ARG_STR, AT(name), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_NONE},
    {"epochs", "passes over the data", NULL, "3", ARG_INT, AT(epochs), ARG_POSITIONAL, 0, 1, 1000, NULL, SRC_NONE},
    {"lr", "learning rate", "1/step", "1e-3", ARG_NUM, AT(lr), ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e6, NULL, SRC_NONE},
    {"path", "a file", NULL, NULL, ARG_PATH, AT(path), 0, 0, 0, 0, NULL, SRC_FILE},
    {"color", "colours", NULL, "auto", ARG_ENUM, AT(color), 0, 0, 0, 0, colors, SRC_NONE},
    {"fast", "be fast", NULL, NULL, ARG_BOOL, AT(fast), 0, 0, 0, 0, NULL, SRC_NONE},
    {"shape", "the shape", NULL, NULL, ARG_SHAPE, AT(shape), 0, 0, 1, 4096, NULL, SRC_NONE},
    {"table", "a table", NULL, NULL, ARG_TABLE, AT(table), 0, 0, 0, 0, NULL, SRC_NONE},
    {"any", "anything", NULL, NULL, ARG_VAL, AT(any), 0, 0, 0, 0, NULL, SRC_NONE}, {0}};
static const struct kind t_kind = {"train", "trains a model", "hone.train{\"x\"}", t_args, sizeof(struct t)};

struct m {
    int64_t n;
    struct val *layers;
};
static const struct arg m_args[] = {
    {"layers", "the layers", NULL, NULL, ARG_TABLE, offsetof(struct m, layers), ARG_POSITIONAL | ARG_REST, 0, 0, 0, NULL, SRC_NONE},
    {"n", "a number", NULL, NULL, ARG_INT, offsetof(struct m, n), 0, 0, 0, 0, NULL, SRC_NONE}, {0}};
static const struct kind m_kind = {"nn.model", "a model", NULL, m_args, sizeof(struct m)};
static const struct kind none_kind = {"ping", "answers", NULL, NULL, 0};

static int parse(const struct kind *k, const char *text, void *out, struct err *e) {
    struct val *v = args_text(text);
    memset(out, 0, k->size);
    e->text[0] = '\0';
    int rc = args_parse(k, v, out, e);
    val_free(v);
    return rc;
}

static void bad(const struct kind *k, const char *text, const char *want) {
    struct t t;
    struct err e;
    if (parse(k, text, &t, &e) == 0) args_release(k, &t);
    tap_is(e.text, want, text);
    tap_ok(e.code == ERR_USAGE, "usage error");
}

static void test_parse(void) {
    struct t t;
    struct err e;
    tap_ok(parse(&t_kind, "{run#3, 'my run', 5, lr=0.5, color=256, fast=on, shape={3,28,28}, table={a=1}, any=7, path=/x}", &t, &e) == 0, "everything: %s",
        e.text);
    tap_ok(t.h.id == 3 && t.h.kind == HANDLE_RUN && strcmp(t.name, "my run") == 0 && t.epochs == 5 && t.lr == 0.5 && t.color == 1 && t.fast, "values");
    tap_ok(t.shape.n == 3 && t.shape.d[2] == 28 && val_get_int(t.table, "a", 0) == 1 && t.any->u.i == 7 && strcmp(t.path, "/x") == 0, "more values");
    struct val *v = args_to_val(&t_kind, &t);
    struct buf b = BUF_INIT;
    json_write(&b, v);
    tap_is(b.data,
        "{\"run\":\"run#3\",\"name\":\"my "
        "run\",\"epochs\":5,\"lr\":0.5,\"path\":\"/x\",\"color\":\"256\",\"fast\":true,\"shape\":[3,28,28],\"table\":{\"a\":1},\"any\":7}",
        "args_to_val in table order");
    struct t u = {0};
    tap_ok(args_parse(&t_kind, v, &u, &e) == 0 && u.lr == t.lr && u.shape.d[1] == 28, "and it parses again");
    args_release(&t_kind, &u);
    args_release(&t_kind, &t);
    val_free(v);
    buf_release(&b);
    tap_ok(parse(&t_kind, "{x}", &t, &e) == 0 && t.epochs == 3 && t.lr == 1e-3 && t.color == 0 && !t.fast && t.shape.n == 0 && t.h.id == 0 && !t.path,
        "defaults; the handle left out");
    args_release(&t_kind, &t);
    tap_ok(parse(&t_kind, "{42, 7}", &t, &e) == 0 && strcmp(t.name, "42") == 0 && t.epochs == 7, "a number for a string");
    args_release(&t_kind, &t);
    v = json_parse("{\"1\":\"n\",\"2\":9}", 15, "x", &e);
    memset(&t, 0, sizeof t);
    tap_ok(args_parse(&t_kind, v, &t, &e) == 0 && t.epochs == 9, "numbered names from JSON are positions");
    args_release(&t_kind, &t);
    val_free(v);
    bad(&t_kind, "{x, epoch=3}", "train: unknown argument 'epoch', did you mean 'epochs'?");
    bad(&t_kind, "{x, zzzzzz=3}", "train: unknown argument 'zzzzzz'; it takes run, name, epochs, lr, path, color, fast, shape, table, any");
    bad(&t_kind, "{x, lr=-1}", "train: lr must be a number from 0 to 1e+06, not -1");
    bad(&t_kind, "{x, lr=fast}", "train: lr must be a number from 0 to 1e+06, not 'fast'");
    bad(&t_kind, "{x, epochs=1.5}", "train: epochs must be a whole number from 1 to 1000, not 1.5");
    bad(&t_kind, "{x, 0}", "train: argument 2 ('epochs') must be a whole number from 1 to 1000, not 0");
    bad(&t_kind, "{x, nil}", "train: argument 2 ('epochs') must be a whole number from 1 to 1000, not nil");
    bad(&t_kind, "{x, 1, 2}", "train: argument 3 (2) is one too many; without a name it takes run, name, epochs");
    bad(&t_kind, "{x, name=y}", "train: 'name' is given twice, as argument 1 and by its name");
    bad(&t_kind, "{epochs=2}", "train: 'name' is missing: its name");
    bad(&t_kind, "{x, color=nine}", "train: color must be one of auto, 256 or none, not 'nine'; did you mean 'none'?");
    bad(&t_kind, "{x, shape={1,2,3,4,5,6,7}}", "train: shape must be a number or a list of whole numbers from 1 to 4096, not a table");
    bad(&t_kind, "{x, table=3}", "train: table must be a table, not 3");
    bad(&none_kind, "{1}", "ping: argument 1 (1) is one too many; it takes none");
    struct val *nan_table = val_table();
    val_set_str(nan_table, "name", "x");
    val_set_num(nan_table, "lr", NAN);
    tap_ok(args_parse(&t_kind, nan_table, &t, &e) == -1, "not a number is refused: %s", e.text);
    val_free(nan_table);
}

static void test_rest(void) {
    struct m m;
    struct err e;
    tap_ok(parse(&m_kind, "{{layer=a}, {layer=b}, 3, n=2}", &m, &e) == 0 && val_len(m.layers) == 3 && m.n == 2, "rest takes the items");
    args_release(&m_kind, &m);
    tap_ok(parse(&m_kind, "{n=2}", &m, &e) == 0 && !m.layers, "none");
    args_release(&m_kind, &m);
    tap_ok(parse(&m_kind, "{layers={1,2}}", &m, &e) == 0 && val_len(m.layers) == 2 && m.n == ARG_NONE_INT, "or by name");
    args_release(&m_kind, &m);
    bad(&m_kind, "{a, nil, c}", "nn.model: item 2 of the list is nil; a list of 3 items has a hole there");
}

static void test_set(void) {
    struct t t;
    struct err e = {0};
    parse(&t_kind, "{x, lr=0.5}", &t, &e);
    struct val *v = val_num(0.25), *low = val_num(-1), *inf = val_num(INFINITY), *nil = val_nil(), *s = val_str("new");
    tap_ok(args_set(&t_kind, &t, "lr", v, &e) == 0 && t.lr == 0.25, "args_set");
    tap_ok(args_set(&t_kind, &t, "lr", low, &e) == -1 && t.lr == 0.25, "a refused value leaves the old one: %s", e.text);
    tap_ok(args_set(&t_kind, &t, "lr", inf, &e) == -1 && t.lr == 0.25, "infinity is refused: %s", e.text);
    tap_ok(args_set(&t_kind, &t, "lr", nil, &e) == 0 && t.lr == 1e-3, "nil is the default");
    tap_ok(args_set(&t_kind, &t, "name", s, &e) == 0 && strcmp(t.name, "new") == 0, "a string is replaced");
    tap_ok(args_set(&t_kind, &t, "name", nil, &e) == -1, "a required one cannot go: %s", e.text);
    tap_ok(args_set(&t_kind, &t, "lrr", v, &e) == -1 && strstr(e.text, "did you mean 'lr'?"), "wrong name: %s", e.text);
    struct val *g = args_get(&t_kind, &t, "name"), *none = args_get(&t_kind, &t, "path");
    tap_ok(strcmp(g->u.s.p, "new") == 0 && none->type == VAL_NIL && !args_get(&t_kind, &t, "nope"), "args_get");
    val_free(g), val_free(none), val_free(v), val_free(low), val_free(inf), val_free(nil), val_free(s);
    args_release(&t_kind, &t);
    struct val *given = args_text("{x, lr=1e-3}"), *n = args_normalise(&t_kind, given, &e);
    struct buf b = BUF_INIT;
    lua_write(&b, n);
    tap_is(b.data, "{name=\"x\", lr=0.001}", "args_normalise keeps what was given");
    buf_clear(&b);
    args_help(&b, &t_kind);
    tap_ok(strstr(b.data, "train - trains a model\n") && strstr(b.data, "  epochs  passes over the data: a whole number from 1 to 1000, default 3\n") &&
               strstr(b.data, "(1/step)") && strstr(b.data, "required") && strstr(b.data, "example: "),
        "args_help");
    val_free(given), val_free(n);
    buf_release(&b);
}

static void test_text(void) {
    static const char *const same[] = {"128", "0.001", "true", "nil", "\"adam\"", "{10, 20}", "{a=1, b={\"x y\", false}}", "{}", "\"{10,\"", "\"0x10\"",
        "\"nan\"", "\"1e\"", "-5", "\"-\"", "\"\""};
    static const char *const from[] = {
        "128", "1e-3", "true", "nil", "adam", "{10,20}", "{a = 1, b = {\"x y\", false}}", "{}", "{10,", "0x10", "nan", "1e", "-5", "-", ""};
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < LEN(from); i++) {
        struct val *v = args_text(from[i]);
        buf_clear(&b);
        lua_write(&b, v);
        tap_is(b.data, same[i], from[i]);
        val_free(v);
    }
    buf_release(&b);
    static const char *const names[] = {"epochs", "batch", "optim", "lr", "log_every"};
    tap_is(args_nearest("epcohs", names, 5), "epochs", "a swap");
    tap_is(args_nearest("log-evry", names, 5), "log_every", "a dash and a letter");
    tap_is(args_nearest("Batch", names, 5), "batch", "case");
    tap_is(args_nearest("xyzzy", names, 5), NULL, "nothing near");
    tap_is(args_nearest("rl", names, 5), "lr", "two letters");
}

static void test_val(void) {
    struct val *t = val_table();
    val_set_int(t, "a", 1);
    val_set_num(t, "b", 2.0);
    val_set_str(t, "c", "x");
    val_set_int(t, "a", 5);
    val_push(t, val_bool(true));
    tap_ok(val_get_int(t, "a", 0) == 5 && val_get_int(t, "b", 0) == 2 && val_get_num(t, "a", 0) == 5 && val_get_int(t, "c", -1) == -1 && t->u.t.n_field == 3,
        "fields");
    struct val *c = val_copy(t);
    tap_ok(val_equal(t, c), "a copy is equal");
    val_unset(c, "b");
    tap_ok(!val_equal(t, c) && !val_get(c, "b") && val_get_int(c, "a", 0) == 5, "val_unset");
    val_set_int(c, "b", 2);
    tap_ok(val_equal(t, c), "order of fields and 2 or 2.0 do not matter");
    struct val *big = val_num(0x1p63), *frac = val_num(1.5), *i = val_int(INT64_MAX);
    int64_t n;
    double d;
    tap_ok(!val_as_int(big, &n) && !val_as_int(frac, &n) && !val_as_num(i, &d), "inexact conversions are refused");
    val_free(big), val_free(frac), val_free(i), val_free(t), val_free(c);
    struct handle h;
    char text[48];
    tap_ok(handle_parse("data#12.val", &h) && h.kind == HANDLE_PART && h.id == 12 && h.sub == 1, "handle of a part");
    handle_text(h, text);
    tap_is(text, "data#12.val", "handle as text");
    tap_ok(!handle_parse("model#", &h) && !handle_parse("model#0", &h) && !handle_parse("x#1", &h) && !handle_parse("model#1x", &h) &&
               !handle_parse("fashion-1", &h) && !handle_parse("run#99999999999", &h),
        "not handles");
}

int main(void) {
    test_parse();
    test_rest();
    test_set();
    test_text();
    test_val();
    return tap_done();
}
