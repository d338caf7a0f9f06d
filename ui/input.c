/* From decoded keys to what they do. Keys may come much faster than anybody types: a paste on a terminal that does not bracket it, a cat on the keyboard, a
 * file sent to the wrong window. Characters at the prompt are then text, moves of one kind are made at once, and what takes longer than a moment is passed
 * over but for the last key, so that the next one a user presses is served at once. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/drawer.h"

enum {
    BURST = 32, /* nobody types so many bytes at once */
    AT_LEAST = 16 /* keys of a flood that are served whatever they cost */
};
static const double flood_s = 0.05, share = 0.25; /* time that the keys of a flood may take: so much, and that part of how long it lasts */
static const double pause_s = 0.02; /* without a key for so long: what comes is no part of what came */

/* What the key before could not do is said no more. */
static void key_begins(struct ui *u) {
    u->dirty = u->acting = true;
    u->refused = false;
    u->complaint[0] = 0;
}

static void key_do(struct ui *u, const struct tkey *k) {
    key_begins(u);
    if (popup_key(u, k)) {
    } else if (u->drawer) {
        drawer_key(u, k);
    } else if (k->type == TKEY_KEY) {
        const struct key_row *r = keys_find(u, k->name);
        if (r) ui_command(u, r->paused && u->now.state == RUN_PAUSED ? r->paused : r->command, BY_KEY);
    }
    u->acting = false;
}

static bool prompt_has_keys(const struct ui *u) { return u->drawer && !u->popup && u->prompt && !u->pager.open; }

/* The command of a key that only moves something, else NULL. */
static const char *move_of(const struct ui *u, const struct tkey *k) {
    const struct key_row *r = k->type == TKEY_KEY && !u->popup && !u->drawer ? keys_find(u, k->name) : NULL;
    return r && strncmp(r->command, "move ", 5) == 0 && !strchr(r->command, '=') ? r->command : NULL;
}

static void spent(struct ui *u, double since) {
    u->input.spent += u->clock() - since;
    u->input.n++;
}

/* ---- what was gathered ---- */

static void moves_do(struct ui *u) {
    struct input *in = &u->input;
    char line[96];
    double t = u->clock();
    if (!in->times) return;
    snprintf(line, sizeof line, in->times > 1 ? "%s times=%d" : "%s", in->move, in->times);
    in->times = 0;
    key_begins(u);
    ui_command(u, line, BY_KEY);
    u->acting = false;
    spent(u, t);
}

/* Text of a burst goes in as a paste; a newline at its end is the Enter that runs it. */
static void text_do(struct ui *u) {
    struct buf *b = &u->input.text;
    static const struct tkey enter = {.type = TKEY_KEY, .name = "Enter", .bytes = "\r", .n = 1};
    size_t n = b->len;
    if (!n) return;
    while (n && b->data[n - 1] == '\n') n--;
    if (n) drawer_text(u, b->data, n);
    if (n < b->len) key_do(u, &enter);
    u->dirty = true;
    buf_clear(b);
}

static void gathered_do(struct ui *u) {
    moves_do(u);
    text_do(u);
}

static bool is_text(const struct tkey *k) {
    if (k->type != TKEY_KEY || k->n == 0) return false;
    unsigned char c = (unsigned char)k->bytes[0];
    return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r' || c == '\n';
}

/* ---- one key ---- */

static void keep(struct input *in, const struct tkey *k) {
    in->kept = *k;
    in->kept.n = k->n < sizeof in->kept_bytes ? k->n : 0;
    memcpy(in->kept_bytes, k->bytes, in->kept.n);
    in->kept.bytes = in->kept_bytes;
    in->passed++;
}

static void on_key(void *ctx, const struct tkey *k) {
    struct ui *u = ctx;
    struct input *in = &u->input;
    const char *move = move_of(u, k);
    bool typed = is_text(k) && prompt_has_keys(u), text = typed && in->piece >= BURST;
    if (k->type == TKEY_REPLY) {
        says_reply(u, k);
        return;
    }
    if (in->times && !(move && strcmp(move, in->move) == 0)) {
        moves_do(u);
        move = move_of(u, k);
    }
    if (in->text.len && !text) text_do(u);
    bool flood = in->n >= AT_LEAST && in->spent > flood_s + share * in->lasts;
    if (text) {
        if (k->bytes[0] == '\r') buf_addc(&in->text, '\n');
        else buf_add(&in->text, k->bytes, k->n);
    } else if (flood && !typed && k->type == TKEY_KEY) {
        keep(in, k);
    } else if (move) {
        snprintf(in->move, sizeof in->move, "%s", move);
        in->times++;
    } else if (k->type == TKEY_MOUSE) {
        says_mouse(u, k);
    } else {
        double t = u->clock();
        key_do(u, k);
        spent(u, t);
    }
}

/* ---- the port's side ---- */

/* The flood is over: what was left out is said, the last of it is served. */
static void flood_end(struct ui *u) {
    struct input *in = &u->input;
    if (in->passed) {
        struct tkey k = in->kept;
        long n = in->passed - 1;
        in->passed = 0;
        key_do(u, &k);
        u->acting = true;
        if (n) log_add(u, INK_BAD, "%ld keys came faster than they could be served and were passed over", n);
        u->acting = false;
    }
    in->n = 0;
    in->spent = 0;
}

void input_take(struct ui *u, const char *bytes, size_t n) {
    struct input *in = &u->input;
    double now = u->clock();
    if (now - in->last >= pause_s) {
        flood_end(u);
        in->since = now;
    }
    in->lasts = now - in->since;
    in->piece = n;
    decode_feed(&u->dec, bytes, n, now, on_key, u);
    gathered_do(u);
    in->last = u->clock();
}

void input_tick(struct ui *u, double now) {
    decode_tick(&u->dec, now, on_key, u);
    gathered_do(u);
    if (u->input.passed && now - u->input.last >= pause_s) flood_end(u);
}

double input_wait(const struct ui *u, double now) {
    double wait = decode_wait(&u->dec, now), left = u->input.last + pause_s - now;
    if (!u->input.passed) return wait;
    if (left < 0) left = 0;
    return wait >= 0 && wait < left ? wait : left;
}

void input_release(struct ui *u) { buf_release(&u->input.text); }
