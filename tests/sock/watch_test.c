/* hone watch and the list of sessions: several watchers beside an owner, keys that would act, a run from its files alone, the session's death, and a client
 * that goes over to another session. */
#include "config.h"

#include "tests/sock/fix.h"

static bool shows_step(const struct pty *p) { return vt_shows(&p->vt, "TRAINING") && vt_shows(&p->vt, "step ") && vt_shows(&p->vt, "loss"); }

static double edited_rate(void) {
    word("get", "lr", NULL);
    return out.len ? strtod(out.data, NULL) : -1;
}

static void test_live(struct pty *owner) {
    struct pty w[3];
    double before = rate(0.7, owner), lr = edited_rate(), during = 0;
    int drawn = 0, moved = 0;
    for (size_t i = 0; i < LEN(w); i++) {
        bool ok = dash(&w[i], 24, 80, i ? "xterm" : "xterm-256color", "watch", NULL);
        for (int k = 0; ok && k < 40 && !shows_step(&w[i]); k++) pty_read(&w[i], 0.05);
        drawn += ok && shows_step(&w[i]) && vt_shows(&w[i].vt, "read-only");
    }
    tap_ok(drawn == (int)LEN(w), "%d of %zu watchers draw the run beside its owner", drawn, LEN(w));
    for (int i = 0; i < 4 && during <= 0.3 * before; i++) during = rate(0.7, owner);
    tap_ok(during > 0.3 * before, "the run is not disturbed: %.0f steps/s, before %.0f", during, before); /* they draw on the same cores */
    for (size_t i = 0; i < LEN(w); i++) {
        pty_forget(&w[i]);
        pty_read(&w[i], 1.2);
        moved += w[i].got.len > 0;
    }
    tap_ok(moved == (int)LEN(w), "and what they show moves");
    static const char *const acts[] = {"p", "c", "e", "u", "l", "m", "s", "Q", "`"};
    int refused = 0;
    for (size_t i = 0; i < LEN(acts); i++) {
        pty_keys(&w[0], "\033");
        pty_read(&w[0], 0.06); /* else it is Alt and the key */
        pty_keys(&w[0], acts[i]);
        if (pty_shows(&w[0], "read-only: this is hone watch", 2) >= 0) refused++;
        else printf("# %s was not refused\n", acts[i]);
    }
    tap_ok(refused == (int)LEN(acts), "%d of %zu keys that act are answered: read-only", refused, LEN(acts));
    pty_keys(&w[0], "\033");
    pty_read(&w[0], 0.1);
    pty_keys(&w[0], ":");
    pty_read(&w[0], 0.1);
    pty_keys(&w[0], "set lr=0.5 force=true\r");
    bool line = pty_shows(&w[0], "read-only: this is hone watch", 2) >= 0;
    double s0 = steps(), now = edited_rate();
    for (int i = 0; i < 50 && steps() <= s0; i++) clock_sleep(0.1);
    tap_ok(line && now == lr && steps() > s0, "so is a line of the palette: lr is %g as before, the run goes on", now);
    pty_keys(&w[1], "9");
    tap_ok(pty_shows(&w[1], "epoch", 3) >= 0, "the log of a watcher has the events");
    word("note", "seen by all", NULL);
    bool noted = false;
    for (int i = 0; i < 8 && !noted; i++) { /* the log moves too fast for the eye */
        pty_read(&w[1], 0.3);
        pty_keys(&w[1], i ? "n" : "/seen by all\r");
        noted = pty_shows(&w[1], "note: seen by all", 0.3) >= 0;
    }
    if (!tap_ok(noted, "and a note of the owner's a moment later")) show(&w[1]);
    word("clients", "--json", NULL);
    int watchers = 0;
    for (const char *p = out.data; p && (p = strstr(p, "\"watcher\"")); p++) watchers++;
    tap_ok(watchers == (int)LEN(w), "the session knows %d watchers", watchers);
    for (size_t i = 0; i < LEN(w); i++) {
        pty_keys(&w[i], "q");
        drawn -= pty_ended(&w[i], 5) && pty_code(&w[i]) == 0 && vt_plain(&w[i].vt) && w[i].vt.n_bad == 0;
        pty_close(&w[i]);
    }
    for (int k = 0; k < 40 && !shows_step(owner); k++) pty_read(owner, 0.05);
    tap_ok(drawn == 0 && shows_step(owner), "they leave plain terminals, the owner stays");
}

/* The same numbers from the files as the owner saw. */
static void test_files(void) {
    struct pty w;
    double step = steps();
    char text[32];
    snprintf(text, sizeof text, "%.0f", step);
    bool ok = step > 0 && dash(&w, 24, 80, "xterm-256color", "watch", "german-credit-1");
    tap_ok(
        ok && pty_shows(&w, "STOPPED", 3) >= 0 && pty_shows(&w, text, 2) >= 0, "without a session the run is drawn from its files: stopped at step %s", text);
    pty_keys(&w, "5");
    tap_ok(pty_shows(&w, "true", 2) >= 0, "with its confusion matrix");
    pty_keys(&w, "9");
    tap_ok(pty_shows(&w, "end  state stopped", 2) >= 0, "and its end in the log");
    leave(&w);
    tap_ok(word("watch", "german-credit-1", NULL) == 0 && strstr(out.data, "stopped"), "in lines: what the files say");
    tap_ok(word("watch", "nosuch-1", NULL) == 1 && strstr(out.data, "no run named \"nosuch-1\""), "a run that is not there is named");
}

static void test_killed(void) {
    struct pty p, w;
    trains(&p);
    dash(&w, 24, 80, "xterm-256color", "watch", NULL);
    for (int k = 0; k < 40 && !shows_step(&w); k++) pty_read(&w, 0.05);
    int pid = session_pid(dir);
    if (pid > 1) kill(pid, SIGKILL);
    tap_ok(pid > 1 && pty_shows(&w, "CRASHED", 5) >= 0, "a session killed under a watcher: the run is shown as crashed");
    pty_ended(&p, 3);
    pty_close(&p);
    leave(&w);
    int good = 0, rounds = full ? 100 : longer ? 30 : 5;
    for (int i = 0; i < rounds; i++) {
        struct pty q;
        bool ok = dash(&q, 24, 80, "xterm-256color", i % 2 ? "attach" : NULL, NULL);
        if (i % 2 == 1) ok = !ok && pty_ended(&q, 5) && memmem(q.got.data, q.got.len, "no session is running", 21);
        pid = session_pid(dir);
        if (pid > 1) kill(pid, SIGKILL);
        pty_ended(&q, 3);
        pty_close(&q);
        good += ok;
    }
    tap_ok(good == rounds, "r.G6: %d of %d times a killed session is no obstacle to the next start, and attach says that there is none", good, rounds);
}

static void test_switch(void) {
    struct pty p, q;
    char other[96], here[96];
    snprintf(other, sizeof other, "%s/other", dir);
    snprintf(here, sizeof here, "%s", dir);
    mkdir(other, 0777);
    if (chdir(other)) return;
    dash(&q, 24, 80, "xterm-256color", NULL, NULL);
    leave(&q);
    if (chdir(here)) return;
    tap_ok(trains(&p), "a run here, a session of another folder");
    bool both = word("sessions", "--json", NULL) == 0 && strstr(out.data, "/other\"") && strstr(out.data, "\"german-credit-3\"");
    if (!tap_ok(both, "hone sessions lists both")) printf("# %s", out.data);
    pty_keys(&p, ":");
    pty_shows(&p, "Find", 2);
    pty_keys(&p, "session other");
    bool listed = pty_shows(&p, "> session other", 5) >= 0;
    if (!listed) show(&p);
    pty_keys(&p, "\r");
    tap_ok(listed && pty_shows(&p, "No run yet", 3) >= 0, "Enter in the palette goes over to it");
    double s0 = steps();
    for (int i = 0; i < 50 && steps() <= s0; i++) clock_sleep(0.1);
    tap_ok(steps() > s0, "and the run left behind goes on");
    if (chdir(other)) return;
    word("clients", "--json", NULL);
    tap_ok(strstr(out.data, "\"attached\":true") != NULL, "the other session has the terminal now");
    pty_keys(&p, ":switch /nowhere\r");
    pty_read(&p, 0.2);
    pty_keys(&p, "9");
    tap_ok(pty_shows(&p, "/nowhere", 3) >= 0 && p.vt.alt, "a folder without a session leaves it where it is, with the reason in the log");
    pty_keys(&p, "1:switch ..\r"); /* from the session's folder */
    tap_ok(pty_shows(&p, "TRAINING", 3) >= 0, "and back");
    pty_keys(&p, "q");
    tap_ok(pty_ended(&p, 3) && pty_code(&p) == 0 && vt_plain(&p.vt) && p.vt.n_bad == 0, "q leaves a plain terminal");
    pty_close(&p);
    session_end();
    if (chdir(here)) return;
    word("stop", "--now", NULL);
}

/* Epochs rare enough for a log that can be read. */
static const char calm[] =
    "local data = hone.data{ 'german-credit', val = 200 }\n"
    "local net = nn.model{ input = data, nn.linear{256}, nn.relu{}, nn.linear{2} }\n"
    "local run = hone.train{ model = net, data = data, epochs = 1000000, batch = 1, ckpt_every = 1e9, optim = optim.adam{ lr = 1e-4 } }\n"
    "run:wait()\n";

int main(void) {
    struct pty p;
    struct err e = {0};
    if (!fix_open("watch") || io_write_file("long.lua", calm, sizeof calm - 1, &e)) return 99;
    if (tap_ok(trains(&p), "a run trains under its dashboard")) {
        test_live(&p);
        leave(&p);
        word("stop", "--after-step", NULL);
        word("wait", NULL, NULL);
        session_end();
        test_files();
        test_killed();
        test_switch();
    }
    return fix_close();
}
