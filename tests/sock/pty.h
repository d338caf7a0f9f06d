/* A program on a pseudo-terminal: sets its size, feeds keys, reads and counts bytes, can stop reading or hang up. */
#ifndef HONE_TESTS_PTY_H
#define HONE_TESTS_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "src/base/buf.h"

struct pty {
    int master, slave; /* the slave end is kept open to look at the line settings */
    pid_t pid;
    struct buf got; /* every byte since pty_start or pty_forget */
    double started, first; /* clock of exec, of the first byte (0: none yet) */
    int status; /* of waitpid, once it ended; else -1 */
};

/* argv[0] is a path. TERM is term. The environment is the caller's (set with setenv before). */
int pty_start(struct pty *p, int rows, int cols, const char *term, char *const argv[]);
size_t pty_read(struct pty *p, double seconds); /* for that long; bytes read */
bool pty_expect(struct pty *p, const char *text, double seconds); /* until the bytes contain text */
double pty_quiet(struct pty *p, double quiet, double limit); /* reads until nothing came for `quiet`; seconds it took */
void pty_forget(struct pty *p);
void pty_keys(struct pty *p, const char *keys);
double pty_answer(struct pty *p, const char *keys, double limit); /* seconds from the key to the first byte back, < 0: none */
void pty_size(struct pty *p, int rows, int cols);
bool pty_ended(struct pty *p, double seconds); /* waits for the exit, reading meanwhile */
void pty_hangup(struct pty *p); /* closes the terminal */
void pty_close(struct pty *p); /* kills what is left, closes */
bool pty_modes(struct pty *p, struct termios *t);
bool pty_same(const struct termios *a, const struct termios *b);

/* Runs a program to its end with stdin from /dev/null; its output; exit code (128 + signal). */
int run_out(struct buf *out, char *const argv[]);
int session_pid(const char *folder); /* the process that serves the folder, 0: none */

#endif
