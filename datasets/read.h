/* The files of a data set into one table a part, several files at once. */
#ifndef HONE_DATASETS_READ_H
#define HONE_DATASETS_READ_H

#include "datasets/formats/format.h"
#include "datasets/source.h"

/* Reads the files of the parts that are wanted. Their columns stand side by side in the table of their part; path, part, bytes and SHA-256 of each
 * file are appended to the list `files`. threads: files read at once, 0: as many as cores. The tables are the same with any number.
 * Progress and stopping are those of o, asked on the caller's thread. On an error the tables are the caller's to free. */
int read_files(
    const struct source *src, const struct read_opts *o, const bool want[PART_N], int threads, struct table tab[PART_N], struct val *files, struct err *e);

#endif
