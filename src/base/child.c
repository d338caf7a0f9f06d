/* The one place where programs are started; see the header. */
#include "config.h"

#include "src/base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <unistd.h>

#include "src/base/err.h"

int child_start(const struct child *c, pid_t *pid) {
    static const short place[] = {0, POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_SETSID}; /* ORDER enum child_place */
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    for (int i = 0; i < (int)LEN(c->fd); i++) {
        if (c->fd[i] >= 0) posix_spawn_file_actions_adddup2(&fa, c->fd[i], i);
        else if (c->fd[i] == CHILD_NULL) posix_spawn_file_actions_addopen(&fa, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
    }
    posix_spawnattr_setflags(&at, (short)(place[c->place] | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setsigmask(&at, &none);
    int rc = posix_spawnp(pid, c->program ? c->program : c->argv[0], &fa, &at, (char *const *)(uintptr_t)c->argv, c->env ? c->env : environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return rc;
}
