/* The control socket from outside: roles, limits, garbage, floods, readers that do not read, another user. */
#include "config.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/rng.h"
#include "src/base/thread.h"
#include "tests/ui/pty.h"
#include "tests/tap.h"

static char hone[4200], dir[64], path[100];

static int dial(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

/* One line within the time, or "" when it ended or nothing came. */
static const char *line(int fd, double seconds) {
    static char text[1 << 20];
    size_t n = 0;
    double end = clock_now() + seconds;
    while (n < sizeof text - 1 && clock_now() < end) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 20) <= 0) continue;
        if (read(fd, text + n, 1) <= 0) break;
        if (text[n] == '\n') break;
        n++;
    }
    text[n] = 0;
    return text;
}

static bool ended(int fd, double seconds) { /* the other end closed, whatever it sent before */
    char sink[65536];
    double end = clock_now() + seconds;
    while (clock_now() < end) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 20) > 0 && read(fd, sink, sizeof sink) <= 0) return true;
    }
    return false;
}

static void put(int fd, const char *s) {
    size_t n = strlen(s);
    if (fd >= 0 && send(fd, s, n, MSG_NOSIGNAL) < 0) fd = -1; /* refused: the missing answer tells */
}

static const char *ask(int fd, const char *request) {
    put(fd, request);
    put(fd, "\n");
    return line(fd, 3);
}

static bool says(const char *got, const char *want) {
    if (strstr(got, want)) return true;
    printf("# got: %.300s\n", got);
    return false;
}

static bool alive(void) {
    int fd = dial();
    bool ok = fd >= 0 && strstr(ask(fd, "{\"id\":9,\"cmd\":\"hello\"}"), "\"ok\"");
    if (fd >= 0) close(fd);
    return ok;
}

static void test_requests(void) {
    int fd = dial();
    tap_ok(says(ask(fd, "{\"id\":1,\"cmd\":\"hello\",\"args\":{\"role\":\"owner\",\"version\":\"0.1.0\"}}"), "\"version\":"), "hello");
    tap_ok(says(ask(fd, "{\"id\":2,\"cmd\":\"set\",\"args\":{\"name\":\"seed\",\"value\":7}}"), "{\"id\":2,\"ok\":"), "set a property");
    tap_ok(says(ask(fd, "{\"id\":\"x\",\"cmd\":\"get\",\"args\":{\"name\":\"seed\"}}"), "{\"id\":\"x\",\"ok\":"), "get it, under an id that is a string");
    tap_ok(says(ask(fd, "{\"id\":3,\"cmd\":\"set\",\"args\":{\"name\":\"seed\",\"value\":\"red\"}}"), "{\"id\":3,\"error\":"),
        "a wrong value is an error with the id");
    tap_ok(says(ask(fd, "{\"id\":4,\"cmd\":\"nonsense\"}"), "\"error\":"), "an unknown command");
    tap_ok(says(ask(fd, "{\"id\":5}"), "\"error\":"), "a request without a command");
    tap_ok(says(ask(fd, "{\"id\":5,\"cmd\":\"get\",\"args\":[1"), "\"error\":"), "broken JSON");
    tap_ok(says(ask(fd, "{\"id\":5,\"cmd\":\"get\",\"args\":3}"), "\"error\":"), "arguments that are no object");
    tap_ok(says(ask(fd, "[]"), "\"error\":"), "a list");
    tap_ok(says(ask(fd, "{\"id\":6,\"cmd\":\"status\"}"), "{\"id\":6,\"ok\":"), "and the connection still answers");
    close(fd);
}

static void test_watcher(void) {
    int fd = dial(), refused = 0, asked = 0, allowed = 0;
    static const char *const acting[] = {"set", "stop", "pause", "resume", "train", "eval", "lua", "run_script", "interrupt", "shutdown", "checkpoint", "undo",
        "note", "compress", "data", "load", "save"};
    tap_ok(says(ask(fd, "{\"id\":1,\"cmd\":\"hello\",\"args\":{\"role\":\"watcher\"}}"), "\"role\":\"watcher\""), "a watcher is greeted as one");
    tap_ok(says(ask(fd, "{\"id\":1,\"cmd\":\"hello\",\"args\":{\"role\":\"owner\"}}"), "\"error\""), "and cannot become owner");
    for (size_t i = 0; i < LEN(acting); i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"id\":1,\"cmd\":\"%s\"}", acting[i]);
        const char *r = ask(fd, request);
        asked++;
        if (strstr(r, "watcher may not") || strstr(r, "unknown command")) refused++;
        else printf("# %s: %.200s\n", acting[i], r);
    }
    tap_ok(refused == asked, "r.G5: %d of %d commands that act are refused to a watcher", refused, asked);
    allowed += strstr(ask(fd, "{\"id\":1,\"cmd\":\"status\"}"), "\"ok\"") != NULL;
    allowed += strstr(ask(fd, "{\"id\":1,\"cmd\":\"ls\"}"), "\"ok\"") != NULL;
    allowed += strstr(ask(fd, "{\"id\":1,\"cmd\":\"clients\"}"), "\"ok\"") != NULL;
    tap_ok(allowed == 3, "what only reads is answered");
    tap_ok(says(ask(fd, "{\"id\":1,\"cmd\":\"attach\"}"), "\"error\""), "attach is refused");
    close(fd);
}

/* Every command there is, as the manual names them, asked for by a watcher: what is not on this list must be refused. */
static void test_roles(void) {
    static const char *const reads[] = {"help", "apropos", "get", "props", "wait", "jobs", "clock", "ls", "runs", "status", "log", "progress", "series", "diff",
        "curves", "clients", "sessions", "screen", "summary", "params", "macs", "doctor", "data_ls", "data_info", "table", "layers", "ahead", "look", "alarms",
        "machine", "gpus", "models"};
    char *manual[] = {hone, (char *)(uintptr_t) "-c", (char *)(uintptr_t) "manual commands", NULL};
    struct buf text = BUF_INIT;
    int fd = dial(), all = 0, refused = 0, answered = 0, wrong = 0;
    ask(fd, "{\"id\":1,\"cmd\":\"hello\",\"args\":{\"role\":\"watcher\"}}");
    run_out(&text, manual);
    for (char *p = text.len ? text.data : NULL; p && (p = strstr(p, ".SS hone."));) {
        char name[64], request[128];
        p += 9;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p, "{\n"), p);
        bool may = false, slow = strcmp(name, "doctor") == 0 || strcmp(name, "wait") == 0;
        for (size_t i = 0; i < LEN(reads); i++) may = may || strcmp(reads[i], name) == 0;
        all++;
        if (may && slow) continue;
        snprintf(request, sizeof request, "{\"id\":1,\"cmd\":\"%s\"}", name);
        bool no = strstr(ask(fd, request), "\"error\":\"a watcher ") != NULL;
        refused += no && !may;
        answered += !no && may;
        if (no == may && wrong++ < 10) printf("# %s is %s\n", name, no ? "refused" : "let through");
    }
    tap_ok(all > 60 && wrong == 0, "r.G5: of %d commands a watcher is refused %d and may call %d that read", all, refused, answered);
    close(fd);
    buf_release(&text);
}

static void test_limits(void) {
    char *big = malloc(70000);
    memset(big, 'x', 69999);
    big[69999] = 0;
    int fd = dial(), many[24], open = 0;
    put(fd, big);
    tap_ok(says(line(fd, 2), "longer than") && ended(fd, 2), "r.G4: a line over 64 KiB ends the connection in words");
    close(fd);
    free(big);
    for (size_t i = 0; i < LEN(many); i++) many[i] = dial();
    for (size_t i = 0; i < LEN(many); i++) open += strstr(ask(many[i], "{\"id\":1,\"cmd\":\"hello\"}"), "\"ok\"") != NULL;
    tap_ok(open == 16, "r.G4: of %zu clients 16 are taken: %d", LEN(many), open);
    for (size_t i = 0; i < LEN(many); i++) close(many[i]);
    clock_sleep(0.1);
    tap_ok(alive(), "and place again when they left");
}

static void test_flood(void) {
    static const char one[] = "{\"id\":1,\"cmd\":\"help\"}\n";
    int fd = dial(), n = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    double t = clock_now(), worst = 0;
    bool dropped = false;
    while (clock_now() - t < 9 && !dropped) {
        ssize_t r = send(fd, one, sizeof one - 1, MSG_NOSIGNAL);
        if (r > 0) n++;
        if (r < 0) {
            struct pollfd p = {fd, POLLOUT, 0};
            poll(&p, 1, 20);
            dropped = p.revents & POLLHUP;
            double t0 = clock_now();
            alive();
            if (clock_now() - t0 > worst) worst = clock_now() - t0;
        } else if (r != sizeof one - 1) break;
    }
    tap_ok(dropped && clock_now() - t < 8, "r.G4: a client that asks %d times and never reads is dropped after %.1f s", n, clock_now() - t);
    tap_ok(worst < 0.1 * TAP_SLOW, "others are answered meanwhile: worst %.1f ms", worst * 1e3);
    close(fd);
}

static void test_garbage(int rounds) {
    uint64_t s = rng_stream(3, "garbage", 0);
    static const char *const pieces[] = {
        "{\"id\":1,\"cmd\":\"", "\"}\n", "\n", "{", "[", "\"args\":", "attach", "hello", "\\u0000", "\0", "subscribe", ",", "1e999", "get", "\xff\xfe"};
    for (int i = 0; i < rounds; i++) {
        int fd = dial();
        if (fd < 0) continue;
        for (int k = 0; k < 20; k++) {
            uint64_t what = rng_below(s, (uint64_t)i, (uint64_t)k, 2 * LEN(pieces));
            char noise[16];
            for (size_t b = 0; b < sizeof noise; b++) noise[b] = (char)rng_u32(s, (uint64_t)i, 1000 + (uint64_t)k * 16 + b);
            const char *p = what < LEN(pieces) ? pieces[what] : noise;
            if (send(fd, p, what < LEN(pieces) ? strlen(p) : sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
        }
        close(fd);
    }
    bool answers = false; /* the last of them may still hold all 16 places for a moment */
    for (double end = clock_now() + 2; !answers && clock_now() < end; clock_sleep(0.02)) answers = alive();
    tap_ok(answers, "r.G4: %d connections of garbage: the session answers", rounds);
    int fd = dial();
    ask(fd, "{\"id\":1,\"cmd\":\"attach\",\"args\":{\"term\":\"xterm\",\"rows\":24,\"cols\":80}}");
    static const char bad[] = "\x7f\xff\xff\xff\xff....";
    if (send(fd, bad, sizeof bad, MSG_NOSIGNAL) < 0) printf("# closed early\n");
    tap_ok(ended(fd, 2) && alive(), "r.G4: a frame of 4 GiB ends the connection");
    close(fd);
}

static void test_other_user(void) {
    char sock[96];
    if (geteuid() != 0) {
        tap_skip("t.D6 r.G2: another user is refused before a byte is parsed", "needs root");
        return;
    }
    snprintf(sock, sizeof sock, "%s/sock", dir);
    chmod(dir, 0755);
    chmod(sock, 0755);
    chmod(path, 0666);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(65534) || setuid(65534)) _exit(9);
        int fd = dial();
        if (fd < 0) _exit(8);
        static const char hello[] = "{\"id\":1,\"cmd\":\"hello\"}\n";
        ssize_t r = send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL);
        (void)r;
        _exit(line(fd, 2)[0] ? 7 : 0);
    }
    waitpid(pid, &status, 0);
    tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "t.D6 r.G2: another user who can reach the socket gets no answer (%d)", WEXITSTATUS(status));
    chmod(sock, 0700);
    tap_ok(alive(), "and its owner does");
}

int main(void) {
    const char *top = getenv("top_builddir"), *lg = getenv("HONE_LONG");
    char sock[96], pattern[128];
    glob_t g = {0};
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-proto-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir)) return 99;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++) dup2(null, i);
        execl(hone, hone, "--session", "--idle", "60", (char *)NULL);
        _exit(127);
    }
    snprintf(pattern, sizeof pattern, "%s/*.sock", sock);
    for (int i = 0; i < 100 && glob(pattern, 0, NULL, &g) != 0; i++) clock_sleep(0.02);
    if (g.gl_pathc != 1) return 99;
    snprintf(path, sizeof path, "%s", g.gl_pathv[0]);
    globfree(&g);
    test_requests();
    test_watcher();
    test_roles();
    test_limits();
    test_flood();
    test_garbage(lg && *lg ? 20000 : 300);
    test_other_user();
    int status = 0;
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 75, "TERM ends it with 75");
    struct buf out = BUF_INIT;
    char *clean[] = {(char *)(uintptr_t) "/bin/rm", (char *)(uintptr_t) "-rf", dir, NULL};
    if (chdir("/") == 0) run_out(&out, clean);
    return tap_done();
}
