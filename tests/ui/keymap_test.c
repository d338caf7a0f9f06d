/* t.K5: keys remapped in a file, conflicts reported at start. A program of its own: the key table is made once a process. */
#include "config.h"

#include <stdlib.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "tests/ui/views_fix.h"

static void own_keys(void) {
    static const char file[] = "# mine\n*  F9  open log\nmetrics z freeze\n* g -\n* q open metrics\nlog F8 redraw\n* F9 redraw\nnowhere a redraw\n* + smooth "
                               "up\nlog F5\n* F7 no_such_command\n";
    char dir[] = "/tmp/hone-keys-XXXXXX", path[128];
    struct err e = {0};
    if (!mkdtemp(dir)) return;
    snprintf(path, sizeof path, "%s/hone", dir);
    io_mkdirs(path, 0700, &e);
    snprintf(path, sizeof path, "%s/hone/keys", dir);
    io_write_file(path, file, strlen(file), &e);
    setenv("XDG_CONFIG_HOME", dir, 1);
    ui_use_keys();
    ui_keys();
    struct fx f;
    fx_open(&f, 100, 4000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 50, 200, false);
    char *text = shown(&f, "\x1b[20~");
    tap_ok(f.u->screen == SCR_LOG, "t.K5: a key of the file does what it says");
    static const char *const said[] = {"line 7: key F9 of screen * is bound in line 2 already", "no screen \"nowhere\"", "glyphs", "detach",
        "line 10: a binding is", "no_such_command", "+ does smooth up on every screen but"};
    int n = 0;
    for (size_t i = 0; i < LEN(said); i++) n += has(text, said[i]) ? 1 : (printf("# not said: %s\n", said[i]), 0);
    tap_ok(n == (int)LEN(said), "t.K5: conflicts are reported at start");
    free(text);
    int glyphs = (int)f.u->glyphs;
    free(shown(&f, "1g"));
    tap_ok((int)f.u->glyphs == glyphs, "t.K5: a key that was taken away does nothing");
    text = shown(&f, "2z");
    tap_ok(f.u->frozen && !f.u->zoom, "t.K5: a screen's own binding comes before hone's");
    free(text);
    text = shown(&f, "z0");
    tap_ok(has(text, "hone/keys") && has(text, "problems"), "t.K5: Settings shows the keys file");
    free(text);
    fx_keys(&f, "q");
    tap_ok(f.u->screen == SCR_METRICS && !ui_port(f.u)->wants_detach(f.u), "t.K5: q can mean something else");
    fx_close(&f);
    io_remove_tree(dir, &e);
}

int main(void) {
    own_keys();
    return tap_done();
}
