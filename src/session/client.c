/* Raw mode, keys in, frames out, and the terminal restored on every path: end, error, signal, crash, death of the session.
 * Frames go to a descriptor of our own (reopened, non-blocking), so the shell's descriptor keeps its flags and a terminal
 * that does not read stalls nothing but itself: keys, size, hang-up and signals are served meanwhile. */
#include "config.h"

#include "src/session/client.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/hex.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "src/session/editor.h"
#include "src/session/wire.h"

struct client {
    int sock, tty, out; /* out: where frames go */
    bool out_own; /* out is reopened and non-blocking; else it is descriptor 1 */
    struct buf in; /* from the session */
    struct buf send; /* to the session */
    struct buf frame; /* being written to the terminal */
    size_t frame_at;
    bool frame_open; /* a frame was taken and is not acknowledged yet */
    bool stale; /* frames on their way are for a screen that is gone */
    int asked; /* status and cursor reports that frames asked the terminal for and that have not come */
    double asked_t; /* when the last was asked for */
    bool answers; /* the terminal does */
    bool over; /* the loop ends */
    bool lost; /* the terminal is gone: nothing to restore or print */
    int code;
    struct buf last; /* what the session left to print */
    bool told; /* it sent its end */
    const struct client_then *then; /* or NULL: done */
    struct err err; /* of it */
    const struct val *wishes;
    char *other; /* folder whose session is wanted instead, or NULL */
    char *edit; /* a text that is wanted in the editor, or NULL */
    size_t n_edit;
};

/* For handlers: what restores the terminal. Written before they are installed. */
static struct termios modes, raw;
static const char *volatile restore_text;
static volatile sig_atomic_t holds; /* the terminal is in our modes */
static volatile sig_atomic_t got_winch, got_end, got_stop;
static int wake[2] = {-1, -1};
static int restore_fd = -1;

void client_restore_now(void) {
    if (!holds) return;
    holds = 0;
    const char *t = restore_text;
    ssize_t r = write(restore_fd, t, strlen(t));
    (void)r;
    tcsetattr(0, TCSANOW, &modes);
}

void client_guard(const struct termios *t) {
    const char *term = getenv("TERM");
    holds = 0;
    if (!t) return;
    modes = *t;
    restore_text = term && *term && strcmp(term, "dumb") != 0 ? "\033[?2004l" : ""; /* readline's bracketed paste */
    restore_fd = 1;
    holds = 1;
}

static void on_signal(int sig) {
    int keep = errno;
    if (sig == SIGWINCH) got_winch = 1;
    else if (sig == SIGTSTP) got_stop = 1;
    else got_end = 1;
    ssize_t r = write(wake[1], "s", 1);
    (void)r;
    errno = keep;
}

static void install(void) {
    static const int ends[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGINT};
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK)) wake[0] = wake[1] = -1;
    for (size_t i = 0; i < LEN(ends); i++) sigaction(ends[i], &a, NULL);
    sigaction(SIGWINCH, &a, NULL);
    sigaction(SIGTSTP, &a, NULL);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

static void take_terminal(void) {
    holds = 1;
    tcsetattr(0, TCSANOW, &raw);
}

/* Waits a little for a terminal that reads slowly; one that does not read at all must not hold us. */
static void give_terminal(struct client *c) {
    if (!holds) return;
    const char *t = restore_text;
    size_t n = strlen(t), at = 0;
    double end = clock_now() + 1;
    while (!c->lost && at < n && clock_now() < end) {
        struct pollfd p = {c->out, POLLOUT, 0};
        if (poll(&p, 1, 50) > 0 && !(p.revents & POLLOUT)) break;
        ssize_t r = p.revents ? write(c->out, t + at, n - at) : 0;
        if (r < 0 && errno != EAGAIN && errno != EINTR) break;
        if (r > 0) at += (size_t)r;
    }
    tcsetattr(0, TCSANOW, &modes);
    holds = 0;
}

static void window_size(int *rows, int *cols) {
    struct winsize w;
    *rows = 24;
    *cols = 80;
    if (ioctl(0, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col) {
        *rows = w.ws_row;
        *cols = w.ws_col;
    }
}

/* ---- attaching ---- */

static int send_attach(struct client *c, struct err *e) {
    const struct val *wishes = c->wishes;
    struct buf b = BUF_INIT;
    struct val *o = val_table(), *a = val_table();
    char hex[2 * sizeof modes + 1];
    int rows, cols;
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    window_size(&rows, &cols);
    val_set_str(a, "term", term ? term : "vt100");
    val_set_str(a, "codeset", nl_langinfo(CODESET));
    val_set_str(a, "colors", val_get_str(wishes, "colors", "auto"));
    val_set_str(a, "glyphs", val_get_str(wishes, "glyphs", "auto"));
    val_set_int(a, "budget", val_get_int(wishes, "budget", 0));
    val_set_bool(a, "no_color", no_color && *no_color);
    val_set_int(a, "rows", rows);
    val_set_int(a, "cols", cols);
    hex_of(hex, &modes, sizeof modes);
    val_set_str(a, "modes", hex);
    hex_of(hex, &raw, sizeof raw);
    val_set_str(a, "raw", hex);
    val_set_int(o, "id", 1);
    val_set_str(o, "cmd", "attach");
    val_set(o, "args", a);
    json_write(&b, o);
    buf_addc(&b, '\n');
    val_free(o);
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } ctl;
    struct iovec v = {b.data, b.len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (c->out_own) { /* a blocking descriptor could hold the session up: only our own is handed over */
        memset(&ctl, 0, sizeof ctl);
        m.msg_control = ctl.room;
        m.msg_controllen = sizeof ctl.room;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &c->out, sizeof(int));
    }
    ssize_t r = sendmsg(c->sock, &m, MSG_NOSIGNAL);
    size_t len = b.len;
    buf_release(&b);
    if (r != (ssize_t)len) return err_set(e, "cannot ask the session to attach: %s", r < 0 ? strerror(errno) : "short write");
    return 0;
}

/* The reply line; what follows it are frames. */
static int take_reply(struct client *c, struct err *e) {
    double end = clock_now() + 10;
    char *nl;
    while (!(nl = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL)) {
        struct pollfd p = {c->sock, POLLIN, 0};
        char piece[4096];
        if (clock_now() > end) return err_set(e, "the session did not answer within 10 s");
        if (poll(&p, 1, 200) <= 0) continue;
        ssize_t n = read(c->sock, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_set(e, "the session ended while attaching");
        buf_add(&c->in, piece, (size_t)n);
    }
    size_t n = (size_t)(nl - c->in.data);
    struct val *v = json_parse(c->in.data, n, "the session", e);
    if (!v) return -1;
    const char *bad = val_get_str(v, "error", NULL);
    int r = bad ? err_set(e, "%s", bad) : 0;
    val_free(v);
    wire_eat(&c->in, n + 1);
    return r;
}

/* ---- the loop ---- */

static void take_frames(struct client *c) {
    size_t at = 0;
    while (at < c->in.len) {
        enum wire_type type;
        const char *data;
        size_t n;
        long size = wire_get(c->in.data + at, c->in.len - at, WIRE_DOWN_MAX, &type, &data, &n);
        if (size < 0) c->over = true;
        if (size <= 0) break;
        if (type == WIRE_FRESH) c->stale = false;
        if (type == WIRE_FRAME && !c->frame_open && !c->stale) { /* the session keeps to one in flight */
            buf_clear(&c->frame);
            buf_add(&c->frame, data, n);
            c->frame_at = 0;
            c->frame_open = true;
        } else if (type == WIRE_SWITCH) {
            free(c->other);
            c->other = mem_strn(data, n);
        } else if (type == WIRE_EDIT) {
            free(c->edit);
            c->edit = mem_strn(data, n);
            c->n_edit = n;
        } else if (type == WIRE_END && n >= 1) {
            c->code = (unsigned char)data[0];
            buf_add(&c->last, data + 1, n - 1);
            c->told = c->over = true;
        }
        at += (size_t)size;
    }
    wire_eat(&c->in, at);
}

static int count(const char *p, size_t n, const char *what) {
    int k = 0;
    for (const char *at; (at = n ? memmem(p, n, what, strlen(what)) : NULL) != NULL; k++) n -= (size_t)(at + 1 - p), p = at + 1;
    return k;
}

/* What a frame did to the terminal besides drawing: a question whose answer must not reach the shell, a title that was put away. */
static void frame_said(struct client *c) {
    int questions = count(c->frame.data, c->frame.len, "\033[5n") + count(c->frame.data, c->frame.len, "\033[6n");
    if (questions) c->asked_t = clock_now();
    c->asked += questions;
    if (count(c->frame.data, c->frame.len, WIRE_TITLE_KEPT)) restore_text = wire_restore(getenv("TERM"), true);
}

static void write_frame(struct client *c) {
    while (c->frame_open && c->frame_at < c->frame.len) {
        ssize_t n = write(c->out, c->frame.data + c->frame_at, c->frame.len - c->frame_at);
        if (n < 0 && errno == EINTR && !got_end) continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0) {
            c->lost = c->over = true;
            return;
        }
        c->frame_at += (size_t)n;
    }
    if (c->frame_open) {
        frame_said(c);
        c->frame_open = false;
        wire_put(&c->send, WIRE_ACK, NULL, 0);
        const struct client_then *then = c->then;
        c->then = NULL;
        if (then && then->fn(then->ctx, &c->err)) c->over = true;
    }
}

static void read_keys(struct client *c) {
    char piece[4096];
    ssize_t n = read(0, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        c->lost = c->over = true; /* end of file or EIO: the terminal is gone; never input */
        return;
    }
    int answers = count(piece, (size_t)n, "\033[0n") + (c->asked > 0 && memchr(piece, 'R', (size_t)n) && memchr(piece, '\033', (size_t)n));
    if (answers) c->answers = true;
    c->asked = c->asked > answers ? c->asked - answers : 0;
    wire_put(&c->send, WIRE_KEYS, piece, (size_t)n);
}

/* Answers on their way would land in the shell. */
static void drain(struct client *c) {
    double end = clock_now() + 1;
    if (c->asked_t + 2 > clock_now() + 1) end = c->asked_t + 2;
    while (!c->lost && c->asked > 0 && clock_now() < end) {
        struct pollfd p = {0, POLLIN, 0};
        if (poll(&p, 1, 50) > 0) read_keys(c);
        if (clock_now() - c->asked_t > 0.3 && !c->answers) break; /* it never answered anything */
    }
}

static void read_socket(struct client *c) {
    static char piece[65536];
    ssize_t n = recv(c->sock, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        c->over = true;
        return;
    }
    buf_add(&c->in, piece, (size_t)n);
    take_frames(c);
}

static void send_some(struct client *c) {
    while (c->send.len > 0) {
        ssize_t n = send(c->sock, c->send.data, c->send.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) { /* a session that has gone may have said why: that is still to be read, to the end */
            if (errno != EAGAIN) buf_clear(&c->send);
            return;
        }
        wire_eat(&c->send, (size_t)n);
    }
}

static void suspend(struct client *c) {
    give_terminal(c);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP); /* stops here until SIGCONT */
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    sigaction(SIGTSTP, &a, NULL);
    tcgetattr(0, &modes);
    take_terminal();
}

static void take_signals(struct client *c) {
    char sink[32];
    int rows, cols;
    while (read(wake[0], sink, sizeof sink) > 0) continue;
    if (got_end) {
        c->over = true;
        return;
    }
    bool again = got_stop;
    if (got_stop) {
        got_stop = 0;
        suspend(c);
    }
    if (again || got_winch) {
        got_winch = 0;
        window_size(&rows, &cols);
        if (again) c->stale = true, c->frame_open = false;
        wire_put_size(&c->send, again ? WIRE_REDRAW : WIRE_SIZE, rows, cols);
    }
}

/* Ours ended the dashboard: says so, and takes the last screen's text that comes back. */
static void say_detach(struct client *c) {
    double end = clock_now() + 0.5;
    if (c->told) return;
    wire_put(&c->send, WIRE_DETACH, NULL, 0);
    c->over = false;
    c->frame_open = false; /* frames still on their way are dropped */
    while (!c->over && clock_now() < end) {
        struct pollfd p = {c->sock, (short)(POLLIN | (c->send.len ? POLLOUT : 0)), 0};
        send_some(c);
        poll(&p, 1, 50);
        if (p.revents & POLLIN) read_socket(c);
        c->frame_open = false;
        if (!c->over) take_frames(c);
    }
}

/* To another session, with the terminal as it is. It is found and checked like any; if that fails the old one keeps us and is told why. */
static void go_over(struct client *c) {
    struct place p;
    struct err e = {0};
    int sock = place_open(&p, c->other, false, &e) == 0 ? place_connect(&p, &e) : -1;
    place_close(&p);
    free(c->other);
    c->other = NULL;
    if (sock < 0) {
        wire_put(&c->send, WIRE_NOTE, e.text, strlen(e.text));
        return;
    }
    say_detach(c);
    close(c->sock);
    c->sock = sock;
    c->over = c->told = c->frame_open = c->stale = false;
    buf_clear(&c->in);
    buf_clear(&c->send);
    buf_clear(&c->last);
    if (send_attach(c, &c->err) || take_reply(c, &c->err)) c->over = true;
    else take_frames(c);
}

static void give_to_editor(void *c) { give_terminal(c); }
static void take_from_editor(void *c) {
    (void)c;
    take_terminal();
}
static bool ended(void) { return got_end; }

/* The user's editor on the session's text. Frames wait: the redraw at its end acknowledges what was asked for. */
static void edit(struct client *c) {
    struct buf text = BUF_INIT;
    struct err e = {0};
    int rows, cols;
    struct editor_host host = {give_to_editor, take_from_editor, c, ended};
    drain(c);
    int rc = editor_run(c->edit, c->n_edit, &host, &text, &e);
    free(c->edit);
    c->edit = NULL;
    for (size_t at = 0, n; rc == 0; at += n) {
        char piece[16384];
        n = text.len - at < sizeof piece - 1 ? text.len - at : sizeof piece - 1;
        piece[0] = at + n == text.len;
        if (n) memcpy(piece + 1, text.data + at, n);
        wire_put(&c->send, WIRE_EDITED, piece, n + 1);
        if (piece[0]) break;
    }
    if (rc != 0) wire_put(&c->send, WIRE_NOTE, e.text, strlen(e.text));
    window_size(&rows, &cols);
    wire_put_size(&c->send, WIRE_REDRAW, rows, cols);
    c->stale = true;
    buf_release(&text);
}

static void client_loop(struct client *c) {
    take_frames(c);
    while (!c->over) {
        if (c->other && !c->frame_open) {
            go_over(c);
            continue;
        }
        if (c->edit && !c->frame_open) edit(c);
        bool writes = c->frame_open;
        struct pollfd p[4] = {{wake[0], POLLIN, 0}, {c->send.len < WIRE_UP_MAX ? 0 : -1, POLLIN, 0},
            {c->sock, (short)(POLLIN | (c->send.len ? POLLOUT : 0)), 0}, {writes ? c->out : -1, POLLOUT, 0}};
        if (poll(p, LEN(p), -1) < 0 && errno != EINTR) break;
        if (p[0].revents) take_signals(c);
        if (p[1].revents & POLLIN) read_keys(c);
        else if (p[1].revents) c->lost = c->over = true; /* a hung-up terminal polls for ever */
        if (p[2].revents & (POLLIN | POLLHUP | POLLERR)) read_socket(c);
        if (p[3].revents & (POLLERR | POLLHUP)) c->lost = c->over = true;
        if (c->frame_open && !c->lost) write_frame(c);
        send_some(c);
    }
}

static int open_terminal(struct client *c, struct err *e) {
    if (tcgetattr(0, &modes)) return err_set(e, "a dashboard needs a terminal on standard input; --plain works without one");
    raw = modes;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    c->out = open("/proc/self/fd/1", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    c->out_own = c->out >= 0;
    if (!c->out_own) c->out = 1;
    restore_fd = c->out;
    restore_text = wire_restore(getenv("TERM"), false);
    return 0;
}

static void print_last(const struct client *c) {
    struct buf b = BUF_INIT;
    const char *p = c->last.data ? c->last.data : "";
    size_t left = c->last.len;
    while (left > 0) { /* line by line through the sink: the text came from another process */
        const char *nl = memchr(p, '\n', left);
        size_t n = nl ? (size_t)(nl - p) : left;
        utf8_show(&b, p, n, -1, strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? UTF8_FULL : UTF8_ASCII);
        buf_addc(&b, '\n');
        p += n + (nl ? 1 : 0);
        left -= n + (nl ? 1 : 0);
    }
    if (b.len) fwrite(b.data, 1, b.len, stdout);
    fflush(stdout);
    buf_release(&b);
}

int client_attach(const struct place *p, const struct val *wishes, const struct client_then *then, struct err *e) {
    int sock = place_connect(p, e);
    return sock < 0 ? 1 : client_attach_to(sock, wishes, then, e);
}

int client_attach_to(int sock, const struct val *wishes, const struct client_then *then, struct err *e) {
    static struct client c;
    memset(&c, 0, sizeof c);
    c.then = then;
    c.sock = sock;
    c.wishes = wishes;
    if (open_terminal(&c, e)) {
        close(c.sock);
        return 1;
    }
    install();
    take_terminal();
    int r = send_attach(&c, e);
    if (r == 0) r = take_reply(&c, e);
    if (r == 0) {
        client_loop(&c);
        if (!c.told && (got_end || c.lost || c.err.code)) say_detach(&c);
    }
    if (r == 0) drain(&c);
    give_terminal(&c);
    if (r == 0 && !c.lost) print_last(&c);
    if (r == 0 && c.err.code) {
        *e = c.err;
        r = -1;
    }
    if (r == 0 && !c.told && !c.lost && !got_end)
        r = err_set(e, "the session ended without a word; its report, if it left one, is in the folder of runs. The next start says "
                       "what was saved and how it goes on");
    if (c.out_own) close(c.out);
    close(c.sock);
    buf_release(&c.in);
    buf_release(&c.send);
    buf_release(&c.frame);
    buf_release(&c.last);
    return r ? 1 : c.code;
}

int client_reset(struct err *e) {
    struct termios t;
    int fd = isatty(1) ? 1 : isatty(0) ? 0 : -1;
    if (fd < 0 || tcgetattr(fd, &t)) return err_set(e, "hone reset mends a terminal; there is none on standard input or output");
    t.c_iflag |= BRKINT | ICRNL | IXON;
    t.c_iflag &= ~(tcflag_t)(INLCR | IGNCR | ISTRIP);
    t.c_oflag |= OPOST | ONLCR;
    t.c_lflag |= ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN;
    const char *text = wire_restore(getenv("TERM"), false);
    ssize_t r = write(fd, text, strlen(text));
    if (r < 0 || tcsetattr(fd, TCSANOW, &t)) return err_sys(e, "restore", "the terminal");
    return 0;
}
