/* What other files of the engine need of the data commands. */
#ifndef HONE_ENGINE_CMDS_DATA_H
#define HONE_ENGINE_CMDS_DATA_H

#include <stdbool.h>

#include "datasets/dataset.h"

/* Any thread. On: a load or fetch that is running on the helper thread, and every later one, ends soon with "stopped". */
void data_interrupt(bool on);
/* Notes in the identity what the data set was asked for with: a table of hone.data that loads it again. */
void data_asked(struct dataset *d, const struct val *args);
/* The folders searched for data sets, NULL-terminated: the setting data (--data), HONE_DATA, ./data, the samples, /usr/share/datasets. */
char **data_search(void);
void data_search_free(char **list);

#endif
