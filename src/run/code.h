/* Where a run was made: the machine, and the commit of the folder it was started in. They start programs and read files: writer thread. */
#ifndef HONE_RUN_CODE_H
#define HONE_RUN_CODE_H

#include "src/base/val.h"

/* {commit, branch, changed, diff, cut}: HEAD, whether files differ from it, how (at most 64 KiB; cut says that it is more). NULL: the folder is in no
 * work tree, or git is not there. */
struct val *code_describe(void);
struct val *machine_describe(void); /* {host, system, processor, cores, memory, folder} */

#endif
