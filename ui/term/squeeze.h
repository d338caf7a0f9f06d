/* A frame in fewer bytes with the same effect: attribute changes that stand together become one, and the charset selections that
 * curses adds to each end of attributes are left out, because no other charset is ever selected. Pure. */
#ifndef HONE_UI_TERM_SQUEEZE_H
#define HONE_UI_TERM_SQUEEZE_H

#include <stddef.h>

size_t squeeze(char *p, size_t n); /* in place; the new length, never more than n */

#endif
