/* Errors that carry a whole sentence: what, where, which value, what to do.
 * A function that can fail because of the world takes `struct err *e` last, returns -1 or NULL on failure
 * and leaves *e untouched on success. */
#ifndef HONE_BASE_ERR_H
#define HONE_BASE_ERR_H

#define ERR_TEXT 1024

struct err {
    int code; /* 0: no error; otherwise one of enum err_code */
    char text[ERR_TEXT]; /* one sentence, UTF-8, no newline at the end */
};

enum err_code {
    ERR_FAIL = 1, /* the work failed: exit 1 */
    ERR_USAGE, /* bad option, argument, command name: exit 2 */
    ERR_STOPPED, /* the user stopped it: exit 3 */
    ERR_GOAL, /* a goal was not met: exit 4 */
    ERR_PREEMPTED, /* TERM: checkpoint saved: exit 75 */
    ERR_SYS /* a system call failed; text names it */
};

/* Each sets *e (if e is not NULL) and returns -1, so that `return err_set(e, ...)` reads well. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_code(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "cannot WHAT PATH: strerror(errno)" */
int err_sys(struct err *e, const char *what, const char *path);
/* Puts "fmt: " before the text that is already there. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

/* hone is wrong: calls the hook main installed (restore terminal, report), then aborts. */
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void bug_set_hook(void (*hook)(const char *text));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define ASSERT_HONE(cond)                                \
    do {                                                 \
        if (!(cond)) BUG("assertion failed: %s", #cond); \
    } while (0)

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
