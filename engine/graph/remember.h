/* What was measured on this machine, kept by machine: one small JSON file a subject in $XDG_CACHE_HOME/hone (else ~/.cache/hone), whose name and text hold
 * what the machine is. A file that is damaged or of another machine counts for nothing. HONE_CACHE=off: no file. Engine thread. */
#ifndef HONE_ENGINE_GRAPH_REMEMBER_H
#define HONE_ENGINE_GRAPH_REMEMBER_H

#include "src/base/buf.h"
#include "src/base/val.h"

void remember_identity(struct buf *b); /* processor, instruction set, libraries of products */
char *remember_folder(void); /* NULL: nowhere; caller frees */
char *remember_path(const char *folder, const char *subject, const char *identity); /* caller frees */
struct val *remember_load(const char *folder, const char *subject, const char *identity); /* the list; NULL: nothing that counts */
void remember_save(const char *folder, const char *subject, const char *identity, struct val *list); /* takes list; a failure is a notice */

#endif
