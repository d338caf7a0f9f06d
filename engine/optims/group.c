/* Parameter groups: which learning rate and weight decay each parameter gets, from the optimiser's arguments groups, layer_decay and decay_bias.
 * Layer-wise decay: Clark et al. 2020 (ELECTRA, A.1), Bao et al. 2022 (BEiT): the rate of a layer is layer_decay^(layers after it). Engine thread. */
#include "config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/optims/optim.h"
#include "src/base/mem.h"

static bool word_match(const char *pattern, const char *text, size_t len) {
    char part[256];
    size_t n = strlen(pattern);
    if (len >= sizeof part) return false;
    memcpy(part, text, len);
    part[len] = 0;
    if (fnmatch(pattern, part, 0) == 0) return true;
    if (n == 0 || n >= len || isdigit((unsigned char)pattern[n - 1]) || strncmp(pattern, part, n) != 0) return false;
    return strspn(part + n, "0123456789") == len - n;
}

bool optim_match(const char *pattern, const char *name) {
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (word_match(pattern, name, (size_t)(dot - name))) return true;
    return word_match(pattern, name, strlen(name));
}

/* Layers are what one usually means: the nearest of them is named. */
static void nothing_matches(const char *pattern, const char *what, const struct optim_param *p, int n, struct err *e) {
    char **names = X_NEW(char *, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        names[i] = mem_str(p[i].name);
        char *dot = strrchr(names[i], '.');
        if (dot) *dot = 0;
    }
    const char *near = args_nearest(pattern, (const char *const *)names, (size_t)n);
    err_code(e, ERR_USAGE, "%s: no parameter matches \"%s\"%s%s%s", what, pattern,
        near ? "; did you mean \"" : "; model:summary() lists the layers, one of whose parameters is ",
        near ? near
        : n  ? p[0].name
             : "none",
        near ? "\"?" : "");
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
}

static int match_one(const struct val *pattern, const char *what, const struct optim_param *p, int n, bool *hit, struct err *e) {
    bool any = false;
    if (!pattern || pattern->type != VAL_STR)
        return err_code(e, ERR_USAGE, "%s must be a name of a layer or parameter like \"block1\" or \"*.bias\", or a list of them, not a %s", what,
            pattern ? val_type_name(pattern) : "nil");
    for (int i = 0; i < n; i++)
        if (optim_match(pattern->u.s.p, p[i].name)) hit[i] = any = true;
    if (any) return 0;
    nothing_matches(pattern->u.s.p, what, p, n, e);
    return -1;
}

int optim_match_list(const struct val *patterns, const char *what, const struct optim_param *p, int n, bool *hit, struct err *e) {
    memset(hit, 0, (size_t)n * sizeof *hit);
    if (!patterns || patterns->type == VAL_NIL) return 0;
    if (patterns->type != VAL_TABLE || val_len(patterns) == 0) return patterns->type == VAL_TABLE ? 0 : match_one(patterns, what, p, n, hit, e);
    for (size_t i = 0; i < val_len(patterns); i++)
        if (match_one(val_at(patterns, i), what, p, n, hit, e) < 0) return -1;
    return 0;
}

struct group_args {
    struct val *match;
    double lr_scale, weight_decay;
};
static const struct arg group_table[] = {
    {"match", "name of a layer or parameter, with * and ?, or a list of names", NULL, NULL, ARG_VAL, offsetof(struct group_args, match),
        ARG_POSITIONAL | ARG_REQUIRED, AT_RUN},
    {"lr_scale", "factor on the learning rate", NULL, "1", ARG_NUM, offsetof(struct group_args, lr_scale), 0, AT_RUN, 0, 1e6},
    {"weight_decay", "instead of the optimiser's", NULL, NULL, ARG_NUM, offsetof(struct group_args, weight_decay), 0, AT_RUN, 0, 1e6},
    {NULL},
};
static const struct kind group_kind = {"group", "parameters with numbers of their own",
    "optim.adamw{lr=1e-3, groups={{match=\"embed*\", lr_scale=0.1, weight_decay=0}}}", group_table, sizeof(struct group_args)};

/* One entry of groups: parameters that an earlier one has are left to it. */
static int take_entry(
    const struct val *entry, size_t i, const struct optim_param *p, int n, bool *taken, bool *hit, double *lr_scale, double *weight_decay, struct err *e) {
    struct group_args a = {0};
    char what[32];
    snprintf(what, sizeof what, "groups[%zu]", i + 1);
    if (!entry || entry->type != VAL_TABLE)
        return err_code(e, ERR_USAGE, "%s must be a table like {match=\"embed*\", lr_scale=0.1}, not a %s", what, entry ? val_type_name(entry) : "nil");
    if (args_parse(&group_kind, entry, &a, e) < 0) return err_wrap(e, "%s", what);
    int rc = optim_match_list(a.match, what, p, n, hit, e);
    for (int k = 0; rc == 0 && k < n; k++)
        if (hit[k] && !taken[k]) {
            taken[k] = true;
            lr_scale[k] = a.lr_scale;
            weight_decay[k] = a.weight_decay;
        }
    args_release(&group_kind, &a);
    return rc;
}

static size_t layer_len(const char *name) { return strcspn(name, "."); }

static void layer_decay(double decay, const struct optim_param *p, int n, double *lr_scale) {
    double scale = 1;
    for (int i = n - 1; i >= 0; i--) {
        size_t len = layer_len(p[i].name);
        if (i + 1 < n && (layer_len(p[i + 1].name) != len || strncmp(p[i].name, p[i + 1].name, len) != 0)) scale *= decay;
        lr_scale[i] *= scale;
    }
}

int optim_group_numbers(const struct optim_common *c, const struct optim_param *p, int n, double *lr_scale, double *weight_decay, struct err *e) {
    bool *taken = X_NEW(bool, (size_t)n + 1), *hit = X_NEW(bool, (size_t)n + 1);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        lr_scale[i] = 1;
        weight_decay[i] = NAN;
    }
    for (size_t i = 0; rc == 0 && i < val_len(c->groups); i++) rc = take_entry(val_at(c->groups, i), i, p, n, taken, hit, lr_scale, weight_decay, e);
    for (int i = 0; i < n; i++)
        if (!c->decay_bias && p[i].ndim <= 1 && isnan(weight_decay[i])) weight_decay[i] = 0;
    if (c->layer_decay < 1) layer_decay(c->layer_decay, p, n, lr_scale);
    free(taken);
    free(hit);
    return rc;
}
