/* The session's own settings, as one kind whose arguments are all LIVE: refresh rate, glyphs, colours, seed, device, charts ...
 * A snapshot is copied out under a lock; set/get reach them by name like any property. */
#ifndef HONE_CALL_SETTINGS_H
#define HONE_CALL_SETTINGS_H

#include "src/base/args.h"

struct settings {
    double refresh; /* frames a second of numbers and charts */
    int glyphs; /* auto braille half line ascii */
    int color; /* auto 256 16 8 none */
    int64_t budget; /* bytes a second, 0: no cap */
    bool bell, title, clipboard;
    int notify; /* off auto osc9 osc777 */
    char *glyphs_term; /* TERM=set, separated by commas */
    int64_t log_every;
    int64_t threads; /* 0: all cores; takes effect with the next run */
    int64_t ranks; /* processes that share the work of a training step; takes effect with the next run */
    int64_t seed;
    bool deterministic, tf32;
    int nonfinite; /* pause stop skip */
    char *device; /* cpu, cuda, cuda:N */
    char *data; /* colon list of folders searched first */
    /* of all charts */
    double chart_smooth;
    bool chart_log, chart_outliers;
    int chart_x, chart_grid, chart_ghost; /* indices of chart_x_names and so on */
    char *chart_filter, *chart_pins; /* a glob; metrics, separated by commas */
};
extern const struct kind settings_kind;
extern const char *const chart_x_names[], *const chart_grid_names[], *const chart_ghost_names[];
enum chart_ghost { GHOST_OFF, GHOST_PREVIOUS, GHOST_BEST, GHOST_SEEDS }; /* ORDER chart_ghost_names */
void settings_init(void); /* defaults; once, in main */
void settings_get(struct settings *out); /* copy; release with args_release(&settings_kind, out) */
int settings_set(const char *name, const struct val *v, struct val **old, struct err *e);
unsigned settings_version(void);
/* src/call/settings_file.c: the ones a user keeps. */
char *settings_path(void); /* $XDG_CONFIG_HOME/hone/settings.lua; new string, NULL: no place for it */
int settings_load(const char *path, struct err *e); /* no file: 0. What can be taken is taken; -1: the first line that could not */
int settings_save(const char *path, struct err *e); /* durable; those that are not at their defaults */

#endif
