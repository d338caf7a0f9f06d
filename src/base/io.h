/* Files with named fault points. Everything that must survive a crash goes through here: temp file, fsync, rename, fsync of
 * the directory. A fault point is a name in the code where a test can make the call fail or kill the process. */
#ifndef HONE_BASE_IO_H
#define HONE_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/base/buf.h"
#include "src/base/err.h"

/* A regular file opened for reading (anything else is refused), its size in *size if not NULL; -1: error. */
int io_open_file(const char *path, int64_t *size, struct err *e);
/* Whole file, appended to out. max: refuse larger ones with a sentence. Devices, FIFOs and directories are refused. */
int io_read_file(const char *path, size_t max, struct buf *out, struct err *e);
/* Durable replacement: PATH.tmp-PID-N, fsync, rename, fsync of the folder. */
int io_write_file(const char *path, const void *data, size_t n, struct err *e);
int io_mkdirs(const char *path, unsigned mode, struct err *e); /* like mkdir -p */
int io_remove_tree(const char *path, struct err *e); /* never follows links */
int io_write_all(int fd, const void *data, size_t n, const char *path, struct err *e); /* retries EINTR and short counts */
int io_sync_dir(const char *path, struct err *e);
bool io_exists(const char *path);
bool io_is_dir(const char *path);
bool io_is_empty_dir(const char *path);
char *io_join(const char *dir, const char *name); /* new string */
char *io_parent(const char *path); /* what is before the last slash, "/" or "."; new string */
char *io_config_path(const char *name); /* $XDG_CONFIG_HOME/hone/NAME, else ~/.config/hone/NAME; new string, NULL: neither is a folder's path */
char *io_exe_dir(void); /* folder of the running program, new string */
/* Streaming reader of plain, gzip or (if built with it) xz files; kind found from the magic bytes. */
struct io_stream;
struct io_stream *io_stream_open(const char *path, struct err *e);
ssize_t io_stream_read(struct io_stream *s, void *p, size_t n, struct err *e); /* 0: end; -1: error (truncated, bad checksum) */
void io_stream_close(struct io_stream *s);
int io_sha256_file(const char *path, char hex[65], int64_t *bytes, struct err *e);
void io_sha256(const void *data, size_t n, char hex[65]);

/* Fault points: io_fault("save.rename") returns 0, or -1 with errno set when the test environment HONE_FAULT=NAME:HIT:WHAT
 * (WHAT = an errno name, or kill) says that the HIT-th pass fails. Costs one pointer test when unset. */
int io_fault(const char *point);

#endif
