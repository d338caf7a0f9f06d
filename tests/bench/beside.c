/* Bytes a second and key latency of htop, btop and hone side by side: same sizes, one sitting, in turns. hone shows the Overview of a run that trains, whose
 * metrics all change with every frame. Prints; decides nothing. */
#include "config.h"

#include "tests/sock/fix.h"

enum { ROUNDS_MAX = 20, KEYS = 60, WHO = 3, SIZES = 2 };

static const char script[] = "local data = hone.data{ 'german-credit', val = 200 }\n"
                             "local net = nn.model{ input = data, nn.linear{512}, nn.relu{}, nn.linear{512}, nn.relu{}, nn.linear{2} }\n"
                             "hone.train{ model = net, data = data, epochs = 1e9, batch = 32, ckpt_every = 1e12, optim = optim.adam{ lr = 1e-6 }, "
                             "sched = sched.cosine{} }:wait()\n";
static const int sizes[SIZES][2] = {{24, 80}, {50, 200}};
static struct who {
    const char *name, *path, *word;
    bool paused; /* its keys are timed while the run pauses: as idle as the others */
    double rate[SIZES][ROUNDS_MAX], paint[SIZES][ROUNDS_MAX], key[SIZES][ROUNDS_MAX * KEYS], whole[SIZES][ROUNDS_MAX * KEYS];
    int n_key[SIZES];
} whos[WHO] = {{"htop", "/usr/bin/htop", NULL}, {"btop", "/usr/bin/btop", NULL}, {"hone", hone, "attach", true}};
static double busy_key[SIZES][ROUNDS_MAX * KEYS], busy_whole[SIZES][ROUNDS_MAX * KEYS]; /* of hone while all cores train */
static int n_busy[SIZES];

static double at(double *v, int n, double q) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n ? v[(int)(q * (n - 1) + 0.5)] : NAN;
}

/* To the first byte back and to the last of the answer, in ms. */
static int time_keys(struct pty *p, double *first, double *last) {
    int n = 0;
    for (int i = 0; i < KEYS; i++) {
        pty_quiet(p, 0.03, 0.3); /* between two frames of its own */
        double t = clock_now(), s = pty_answer(p, i % 2 ? "\033[A" : "\033[B", 1);
        if (s < 0) continue;
        pty_quiet(p, 0.005, 0.05);
        first[n] = s * 1e3;
        last[n++] = (p->came - t) * 1e3;
    }
    return n;
}

static void look(struct who *w, int s, int round, double seconds) {
    struct pty p;
    char *argv[] = {(char *)(uintptr_t)w->path, (char *)(uintptr_t)w->word, NULL};
    pty_start(&p, sizes[s][0], sizes[s][1], "xterm-256color", argv);
    pty_expect(&p, "\033", 3);
    pty_quiet(&p, 0.3, 0.45); /* before a second frame is due */
    w->paint[s][round] = (double)p.total;
    pty_read(&p, 2);
    pty_forget(&p);
    pty_read(&p, seconds);
    w->rate[s][round] = (double)p.got.len / seconds;
    if (w->paused) n_busy[s] += time_keys(&p, busy_key[s] + n_busy[s], busy_whole[s] + n_busy[s]);
    if (w->paused) word("pause", NULL, NULL), pty_read(&p, 0.6);
    w->n_key[s] += time_keys(&p, w->key[s] + w->n_key[s], w->whole[s] + w->n_key[s]);
    if (w->paused) word("resume", NULL, NULL);
    pty_keys(&p, "q");
    pty_ended(&p, 2);
    pty_close(&p);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 8;
    struct err e = {0};
    struct pty p;
    char *real = realpath("hone", NULL);
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (!real) return fprintf(stderr, "start it in the build folder, where ./hone is\n"), 1;
    real[strlen(real) - 5] = 0;
    setenv("top_builddir", real, 1);
    free(real);
    if (!fix_open("beside") || io_write_file("long.lua", script, sizeof script - 1, &e)) return 1;
    if (!trains(&p)) return fprintf(stderr, "the run did not start\n"), 1;
    pty_close(&p);
    clock_sleep(15); /* the x axis of a young run doubles every few seconds */
    word("status", "--json", NULL);
    int metrics = 0;
    for (const char *c = out.len ? strstr(out.data, "\"loss\"") : NULL; c && (c = strchr(c, ':')) != NULL; c++) metrics++;
    printf("%d rounds of %g s; hone at 2 Hz with %d metrics, its run pauses while keys are timed\n", rounds, seconds, metrics);
    for (int s = 0; s < SIZES; s++)
        for (int r = 0; r < rounds; r++)
            for (int k = 0; k < WHO; k++) {
                int i = (k + r) % WHO; /* in turns */
                if (access(i == 2 ? hone : whos[i].path, X_OK) == 0) look(&whos[i], s, r, seconds);
            }
    printf("size    program   bytes/s  first paint   key p50 ms   p95 ms   last byte   answered\n");
    for (int s = 0; s < SIZES; s++)
        for (int k = 0; k < WHO; k++) {
            struct who *w = &whos[k];
            if (k < 2 && access(w->path, X_OK) != 0) printf("%dx%d  %-6s not installed # SKIP\n", sizes[s][1], sizes[s][0], w->name);
            else
                printf("%dx%-4d %-7s %9.0f %12.0f %12.2f %8.2f %11.2f   %d of %d\n", sizes[s][1], sizes[s][0], w->name, at(w->rate[s], rounds, 0.5),
                    at(w->paint[s], rounds, 0.5), at(w->key[s], w->n_key[s], 0.5), at(w->key[s], w->n_key[s], 0.95), at(w->whole[s], w->n_key[s], 0.5),
                    w->n_key[s], rounds * KEYS);
        }
    for (int s = 0; s < SIZES; s++)
        printf("hone's keys while all cores train, %dx%d: p50 %.2f ms, p95 %.2f ms, last byte %.2f ms (%d of %d)\n", sizes[s][1], sizes[s][0],
            at(busy_key[s], n_busy[s], 0.5), at(busy_key[s], n_busy[s], 0.95), at(busy_whole[s], n_busy[s], 0.5), n_busy[s], rounds * KEYS);
    word("stop", "--now", NULL);
    session_end();
    if (chdir("/") == 0) io_remove_tree(dir, NULL);
    return 0;
}
