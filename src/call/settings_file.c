/* The settings that a user keeps: $XDG_CONFIG_HOME/hone/settings.lua (else ~/.config/hone), a line hone.prop.NAME = VALUE for each that is not at its
 * default. Any thread; saving is durable and replaces the file as a whole. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/call/call.h"
#include "src/call/settings.h"

static const char lead[] = "hone.prop.";

char *settings_path(void) { return io_config_path("settings.lua"); }

/* One line of the file; a mistake in it is said and passed over. */
static int line_take(char *line, int number, const char *path, struct err *e) {
    char *p = line + strspn(line, " \t");
    if (!*p || strncmp(p, "--", 2) == 0) return 0;
    char *eq = strchr(p, '=');
    if (strncmp(p, lead, sizeof lead - 1) != 0 || !eq) return err_set(e, "%s line %d: a line is hone.prop.NAME = VALUE, not \"%.60s\"", path, number, p);
    char *name = p + sizeof lead - 1, *end = eq;
    while (end > name && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *end = 0;
    struct val *v = json_parse(eq + 1, strlen(eq + 1), path, e);
    int rc = v ? settings_set(name, v, NULL, e) : -1;
    val_free(v);
    return rc < 0 ? err_wrap(e, "%s line %d", path, number) : 0;
}

int settings_load(const char *path, struct err *e) {
    struct buf text = BUF_INIT;
    int number = 1, rc = 0;
    if (!path || !io_exists(path)) return 0;
    if (io_read_file(path, 64 << 10, &text, e) != 0) return -1;
    buf_addc(&text, 0);
    for (char *p = text.data, *end; *p; p = end, number++) {
        size_t len = strcspn(p, "\n");
        struct err own = {0};
        end = p + len + (p[len] != 0);
        p[len] = 0;
        if (line_take(p, number, path, &own) < 0 && rc == 0) rc = -1, *e = own;
    }
    buf_release(&text);
    return rc;
}

int settings_save(const char *path, struct err *e) {
    struct settings s;
    struct buf b = BUF_INIT;
    if (!path) return err_set(e, "there is no place for settings: neither XDG_CONFIG_HOME nor HOME is a folder's path");
    settings_get(&s);
    buf_adds(&b, "-- written by hone's Settings screen; config.lua beside it is run after it\n");
    for (const struct arg *a = settings_kind.args; a->name; a++) {
        struct val *v = args_get(&settings_kind, &s, a->name), *usual = a->def ? args_text(a->def) : NULL;
        double x, y;
        bool same = !v || v->type == VAL_NIL || (usual && (val_equal(v, usual) || (val_as_num(v, &x) && val_as_num(usual, &y) && x == y)));
        if (!same) {
            buf_addf(&b, "%s%s = ", lead, a->name);
            json_write(&b, v);
            buf_addc(&b, '\n');
        }
        val_free(v);
        val_free(usual);
    }
    args_release(&settings_kind, &s);
    char *dir = mem_str(path), *slash = strrchr(dir, '/');
    if (slash) *slash = 0;
    int rc = io_mkdirs(dir, 0700, e) == 0 ? io_write_file(path, b.data, b.len, e) : -1;
    free(dir);
    buf_release(&b);
    return rc;
}

static int save_run(struct call *c, const void *args, struct err *e) {
    char *path = settings_path();
    (void)args;
    int rc = settings_save(path, e);
    if (rc == 0) call_result(c, val_str(path));
    free(path);
    return rc;
}

extern const struct cmd save_settings_cmd;
const struct cmd save_settings_cmd = {
    {"save_settings", "keeps the settings that are not at their defaults, for every session to come", "hone.save_settings{}", NULL, 0}, OWNER_HELPER, 0,
    save_run, NULL};
