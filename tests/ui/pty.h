/* A program on a pseudo-terminal: sets its size, feeds keys, reads and counts bytes, limits the rate, stops reading, hangs up, and knows what is on the screen.
 *
 *     struct pty p;
 *     tap_ok(pty_dash(&p, 24, 80, "xterm-256color", argv, 5), "a dashboard appeared");   // or pty_start, which waits for nothing
 *     pty_link(&p, 2000, 0.3);                    // from here on 2 kB/s and 300 ms each way
 *     double s = pty_shows(&p, "PAUSED", 3);      // seconds until the screen showed it, < 0: not within 3 s
 *     pty_forget(&p); pty_read(&p, 60);           // a minute; p.got.len bytes came, p.total since the start
 *     tap_ok(p.vt.n_bad == 0, "only allowed sequences: %s", p.vt.bad);
 *     pty_close(&p);
 *
 * Nothing is read but inside these functions: to stop reading is to call none of them (clock_sleep; pty_keys writes without reading while the program takes
 * its input). The program's environment is made from nothing: PATH, HOME (the current folder), LC_ALL=C.UTF-8, TERM, the HONE_* variables and those of
 * sanitizers, and what pty_env sets; never CI or NO_COLOR unless pty_env sets them. The terminal answers status and cursor reports as one does (vt.h), over
 * the link; p.mute keeps it silent. */
#ifndef HONE_TESTS_PTY_H
#define HONE_TESTS_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "src/base/buf.h"
#include "tests/ui/vt.h"

struct pty {
    int master, slave; /* the slave end is kept open to look at the line settings; without a TERM nothing is known of it */
    pid_t pid, shell; /* shell: see pty_under_shell; the one that is waited for, else 0 */
    struct buf got; /* every byte that arrived since pty_start or pty_forget */
    size_t total; /* bytes that arrived since pty_start */
    struct vt vt; /* the screen as of the bytes that arrived */
    bool mute; /* does not answer reports */
    double started, first, came; /* clock of exec, of the first byte (0: none yet), of the last ones, before the screen was drawn from them */
    int status; /* of waitpid, once it ended; else -1 */
    /* the link: bytes leave one after the other at `rate` a second and arrive `delay` later; keys take as long. 0: at once */
    double rate, delay;
    size_t window; /* bytes that wait in it at most; the program then writes into a full terminal, as behind a stalled ssh */
    struct buf wire, up; /* on their way down, up */
    double clear; /* when the link is free again */
    struct pty_piece {
        size_t n;
        double at;
    } * piece[2]; /* of wire and up: when they were sent */
    size_t n_piece[2], cap_piece[2];
};

/* What later programs see in their environment; NULL: not set. */
void pty_env(const char *name, const char *value);
/* Programs started from now on have a parent in their session, as under a shell: only then does the kernel let SIGTSTP stop them. */
void pty_under_shell(bool on);
/* argv[0] is a path. */
int pty_start(struct pty *p, int rows, int cols, const char *term, char *const argv[]);
/* The same, and waits until hone's dashboard is on the screen: its keys in the last row. False: it is not within the time. */
bool pty_dash(struct pty *p, int rows, int cols, const char *term, char *const argv[], double seconds);
void pty_link(struct pty *p, double rate, double delay); /* window: 64 KiB unless p->window is set */
size_t pty_read(struct pty *p, double seconds); /* for that long; bytes that arrived */
bool pty_expect(struct pty *p, const char *text, double seconds); /* until the bytes contain text */
double pty_shows(struct pty *p, const char *text, double seconds); /* until a row of the screen contains text; seconds it took, < 0: it did not, or ended */
double pty_quiet(struct pty *p, double quiet, double limit); /* reads until nothing came for `quiet`; seconds it took */
void pty_forget(struct pty *p);
void pty_keys(struct pty *p, const char *keys);
double pty_answer(struct pty *p, const char *keys, double limit); /* seconds from the key to the first byte back, < 0: none */
void pty_size(struct pty *p, int rows, int cols);
bool pty_ended(struct pty *p, double seconds); /* waits for the exit, reading meanwhile */
int pty_code(const struct pty *p); /* exit code, 128 + signal, -1: it has not ended */
void pty_hangup(struct pty *p); /* closes the terminal */
void pty_close(struct pty *p); /* kills what is left, closes */
bool pty_modes(struct pty *p, struct termios *t);
bool pty_same(const struct termios *a, const struct termios *b);

/* Runs a program to its end with stdin from /dev/null, in the same environment without TERM; its output; exit code (128 + signal). */
int run_out(struct buf *out, char *const argv[]);
int session_pid(const char *folder); /* the process that serves the folder, 0: none */

#endif
