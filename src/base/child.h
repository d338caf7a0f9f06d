/* Other programs, started by posix_spawn: nothing forks here, as threads of ours and of libraries may hold locks. Any thread. */
#ifndef HONE_BASE_CHILD_H
#define HONE_BASE_CHILD_H

#include <sys/types.h>

enum { CHILD_KEEP = -2, CHILD_NULL = -1 }; /* a descriptor: the one there is; /dev/null */
enum child_place { CHILD_HERE, CHILD_GROUP, CHILD_SESSION }; /* of our process group, of a group or a session of its own */
struct child {
    const char *const *argv; /* ends with NULL */
    const char *program; /* NULL: argv[0]; without a slash it is looked for in PATH */
    char *const *env; /* NULL: ours */
    /* Which of our descriptors become its 0 to 3, one after the other; the others are closed if they are close-on-exec. One that has its number already
     * stays open (POSIX.1-2024, posix_spawn_file_actions_adddup2). */
    int fd[4];
    enum child_place place;
};
/* No signal is blocked or ignored in the new process. 0, or what is wrong as an errno. */
int child_start(const struct child *c, pid_t *pid);

#endif
