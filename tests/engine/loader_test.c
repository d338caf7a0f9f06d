/* Orders, augmentation and mixup: what they do, and that everything is a function of (seed, epoch, place), so that a run resumes to the same bits. */
#include "config.h"

#include "engine/train/order.h"
#include "tests/engine/train_fix.h"

/* Pictures (2, 5, 6) whose numbers tell their place; class of row i: 0 for nine of ten, else 1 or 2. */
static struct dataset *pictures(int64_t n) {
    struct dataset *d = make_data(n, 0, -1, 0);
    struct column *c = &d->part[PART_TRAIN].col[0];
    free(c->data);
    *c = (struct column){
        .name = c->name, .type = COL_U8, .ndim = 3, .dim = {2, 5, 6}, .width = 60, .scale = 1, .shift = -7, .data = X_NEW(uint8_t, (size_t)(n * 60))};
    for (int64_t i = 0; i < n * 60; i++) ((uint8_t *)c->data)[i] = (uint8_t)(1 + i % 60 + i / 60 * 60 % 180);
    int32_t *y = d->part[PART_TRAIN].col[1].data;
    for (int64_t i = 0; i < n; i++) y[i] = i % 10 ? 0 : i % 20 ? 1 : 2;
    return d;
}

static struct part texts(int64_t n) { /* text i has 1 + (7 i mod 50) tokens */
    struct part p = {.n = n, .n_col = 1, .col = X_NEW(struct column, 1)};
    p.col[0] = (struct column){.name = mem_str("text"), .type = COL_TOKENS, .scale = 1, .max_id = 100, .offset = X_NEW(int64_t, (size_t)n + 1)};
    for (int64_t i = 0; i < n; i++) p.col[0].offset[i + 1] = p.col[0].offset[i] + 1 + 7 * i % 50;
    p.col[0].data = X_NEW(int32_t, (size_t)p.col[0].offset[n] + 1);
    return p;
}

static void orders(void) {
    struct dataset *d = pictures(200);
    struct order_spec s = {.part = &d->part[PART_TRAIN], .seed = 3, .shuffle = true, .balanced = true};
    const int32_t *y = d->part[PART_TRAIN].col[1].data;
    struct order *o = order_new(&s);
    int count[3] = {0}, seen[200] = {0}, most = 0, again = 0;
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        const int64_t *row = order_make(o, epoch);
        for (int i = 0; i < 200; i++) {
            count[y[row[i]]]++;
            if (!epoch) most = ++seen[row[i]] > most ? seen[row[i]] : most;
        }
    }
    tap_ok(count[0] == 200 && count[1] == 200 && count[2] == 200, "balanced: three epochs of 200 rows give each class 200 (%d %d %d)", count[0], count[1],
        count[2]);
    tap_ok(most == 7, "a row of a class of 10 comes at most 7 times in 67 draws (%d)", most);
    int64_t first[200];
    memcpy(first, order_make(o, 1), sizeof first);
    order_make(o, 7);
    again = memcmp(first, order_make(o, 1), sizeof first) == 0;
    tap_ok(again, "an order is a function of the epoch");
    order_free(o);
    struct part p = texts(1000);
    s = (struct order_spec){.part = &p, .seed = 3, .shuffle = true, .bucket = 320, .block = 16};
    struct order_spec plain = s;
    plain.bucket = 0;
    o = order_new(&s);
    struct order *q = order_new(&plain);
    const int64_t *row = order_make(o, 4), *was = order_make(q, 4);
    int64_t worst = 0, sum = 0, sum_was = 0, here[1000] = {0}, wrong = 0;
    for (int b = 0; b + 16 <= 1000; b += 16) {
        int64_t lo = 1000, hi = 0, lo2 = 1000, hi2 = 0;
        for (int i = b; i < b + 16; i++) {
            int64_t n = part_tokens(&p, row[i]), m = part_tokens(&p, was[i]);
            lo = n < lo ? n : lo, hi = n > hi ? n : hi, lo2 = m < lo2 ? m : lo2, hi2 = m > hi2 ? m : hi2;
        }
        sum += hi - lo, sum_was += hi2 - lo2;
        worst = hi - lo > worst ? hi - lo : worst;
    }
    for (int i = 0; i < 1000; i++) here[was[i]] = i / 320;
    for (int i = 0; i < 1000; i++) wrong += here[row[i]] != i / 320;
    tap_ok(wrong == 0, "buckets: every row stays in its run of 320");
    int falls = 0;
    for (int b = 16; b < 320; b += 16) falls += part_tokens(&p, row[b]) < part_tokens(&p, row[b - 16]);
    tap_ok(falls > 4 && falls < 15, "and batches of short and of long texts take turns: the length falls %d times in 19", falls);
    tap_ok(
        sum * 8 < sum_was, "lengths in a batch differ by %.1f tokens, without buckets by %.1f (worst %d)", (double)sum / 62, (double)sum_was / 62, (int)worst);
    order_free(o);
    order_free(q);
    struct err e = {0};
    s.part = &d->part[PART_TRAIN];
    tap_ok(order_check(&s, &e) < 0 && strstr(e.text, "holds no texts"), "%s", e.text);
    s = (struct order_spec){.part = &p, .balanced = true, .shuffle = true};
    e = (struct err){0};
    tap_ok(order_check(&s, &e) < 0 && strstr(e.text, "no class for each row"), "%s", e.text);
    free(p.col[0].name), free(p.col[0].data), free(p.col[0].offset), free(p.col);
    dataset_unref(d);
}

/* Every number of a changed picture is where some shift and mirroring puts it. */
static bool explained(const float *x, const uint8_t *in, int64_t crop, bool flip, int *mirrored, int64_t shift[2]) {
    for (int m = 0; m <= flip; m++)
        for (int64_t dy = -crop; dy <= crop; dy++)
            for (int64_t dx = -crop; dx <= crop; dx++) {
                bool ok = true;
                for (int64_t i = 0; i < 60 && ok; i++) {
                    int64_t k = i / 30, r = i / 6 % 5 + dy, c = (m ? 5 - i % 6 : i % 6) + dx;
                    float want = r < 0 || r > 4 || c < 0 || c > 5 ? -7 : (float)in[k * 30 + r * 6 + c] - 7;
                    ok = x[i] == want;
                }
                if (ok) return *mirrored += m, shift[0] = dy, shift[1] = dx, true;
            }
    return false;
}

static void pictures_move(void) {
    struct err e = {0};
    struct dataset *d = pictures(120);
    const struct part *p = &d->part[PART_TRAIN];
    struct loader_spec ls = {.part = p, .seed = 9, .shuffle = true, .batch = 30, .epochs = 2, .augment = {.crop = 2, .flip = true}};
    struct loader *l = loader_new(&ls, 0, 0, &e);
    int good = 0, mirrored = 0, changed = 0, zeros = 0, seen[25] = {0}, kinds = 0;
    int64_t shift[2], first[120] = {0};
    for (const struct batch *b; l && (b = loader_next(l));)
        for (int64_t i = 0; i < b->rows; i++) {
            const uint8_t *in = (const uint8_t *)p->col[0].data + b->index[i] * 60;
            const float *x = (const float *)b->col[0].data + i * 60;
            good += explained(x, in, 2, true, &mirrored, shift);
            seen[(shift[0] + 2) * 5 + shift[1] + 2]++;
            changed += x[14] != (float)in[14] - 7;
        }
    tap_ok(good == 240, "crop and flip: all 240 pictures are a window of the padded one, mirrored or not (%d)", good);
    tap_ok(mirrored > 80 && mirrored < 160 && changed > 200, "%d of 240 are mirrored, %d moved", mirrored, changed);
    for (int i = 0; i < 25; i++) kinds += seen[i] > 0;
    tap_ok(kinds == 25, "all 25 shifts are there (%d)", kinds);
    loader_free(l);
    ls.shuffle = false; /* the same pictures in the same places */
    l = loader_new(&ls, 0, 0, &e);
    changed = 0;
    for (const struct batch *b; l && (b = loader_next(l));)
        for (int64_t i = 0; i < b->rows; i++) {
            explained((const float *)b->col[0].data + i * 60, (const uint8_t *)p->col[0].data + b->index[i] * 60, 2, true, &mirrored, shift);
            changed += b->epoch == 1 && first[b->index[i]] != shift[0] * 5 + shift[1];
            first[b->index[i]] = shift[0] * 5 + shift[1];
        }
    tap_ok(changed > 100, "%d of 120 lie elsewhere in the next epoch", changed);
    ls.shuffle = true;
    loader_free(l);
    ls.augment = (struct augment_spec){.cutout = 3};
    l = loader_new(&ls, 0, 0, &e);
    int most = 0, least = 60;
    for (const struct batch *b; l && (b = loader_next(l));)
        for (int64_t i = 0; i < b->rows; i++) {
            int n = 0;
            for (int k = 0; k < 60; k++) n += ((const float *)b->col[0].data)[i * 60 + k] == 0 && ((const uint8_t *)p->col[0].data)[b->index[i] * 60 + k] != 7;
            most = n > most ? n : most, least = n < least ? n : least;
            zeros += n > 0;
        }
    tap_ok(zeros == 240 && most == 18 && least >= 7, "cutout: a square of 3 in both channels, clipped at the border (%d to %d numbers)", least, most);
    loader_free(l);
    static const struct {
        struct augment_spec a;
        const char *want;
    } bad[] = {{{.crop = 6}, "more than the 5 rows of a picture"}};
    ls.augment = bad[0].a;
    l = loader_new(&ls, 0, 0, &e);
    tap_ok(!l && strstr(e.text, bad[0].want), "%s", e.text);
    dataset_unref(d);
    d = make_data(20, 0, -1, 0);
    ls.part = &d->part[PART_TRAIN];
    ls.augment = (struct augment_spec){.flip = true};
    e = (struct err){0};
    l = loader_new(&ls, 0, 0, &e);
    tap_ok(!l && strstr(e.text, "this data holds none"), "%s", e.text);
    dataset_unref(d);
}

/* Batches from the middle of an epoch on are those of a loader that came there by itself. */
static void resumes(void) {
    struct err e = {0};
    struct dataset *d = pictures(130);
    struct loader_spec ls = {.part = &d->part[PART_TRAIN],
        .seed = 5,
        .shuffle = true,
        .batch = 16,
        .epochs = 3,
        .balanced = true,
        .augment = {.crop = 1, .flip = true, .cutout = 2, .mixup = 0.4}};
    struct loader *l = loader_new(&ls, 0, 0, &e), *m = NULL;
    int same = 0, n = 0;
    for (const struct batch *a, *b; l && (a = loader_next(l));) {
        if (a->epoch == 1 && a->start == 48) m = loader_new(&ls, 1, 48, &e);
        if (!m) continue;
        b = loader_next(m);
        n++;
        same += b && b->rows == a->rows && b->share == a->share && !memcmp(a->col[0].data, b->col[0].data, (size_t)a->rows * 240) &&
                !memcmp(a->other, b->other, (size_t)a->rows * 4) && !memcmp(a->col[1].data, b->col[1].data, (size_t)a->rows * 4);
    }
    tap_ok(n == 15 && same == n, "balanced, cropped, mirrored, cut out, mixed: %d of %d batches of a resumed loader are the same bits %s", same, n, e.text);
    loader_free(l);
    loader_free(m);
    dataset_unref(d);
}

/* The share of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)). */
static void shares(void) {
    struct err e = {0};
    struct dataset *d = make_data(64, 0, -1, 0);
    static const double alpha[] = {0.2, 1, 4};
    for (size_t i = 0; i < LEN(alpha); i++) {
        struct augment_spec s = {.mixup = alpha[i]};
        struct augment *a = augment_new(&s, &d->part[PART_TRAIN], 2, 11, &e);
        float x[24] = {0};
        int32_t y[2] = {0}, other[2];
        struct batch_col col[2] = {{.data = x}, {.data = y}};
        double sum = 0, sq = 0, n = 20000;
        for (int k = 0; k < (int)n; k++) {
            double v = (double)augment_batch(a, k, 0, 2, col, other);
            sum += v, sq += v * v;
        }
        double mean = sum / n, var = sq / n - mean * mean, want = 1 / (4 * (2 * alpha[i] + 1));
        tap_ok(fabs(mean - 0.5) < 5 * sqrt(want / n) && fabs(var / want - 1) < 0.06, "Beta(%g, %g): mean %.4f, variance %.4f of %.4f", alpha[i], alpha[i], mean,
            var, want);
        augment_free(a);
    }
    dataset_unref(d);
}

/* Every row of a mixed batch is share times its own and the rest times one other row, whose label is the other label. */
static void mixed_rows(void) {
    struct err e = {0};
    struct dataset *d = make_data(64, 0, -1, 0);
    const struct part *p = &d->part[PART_TRAIN];
    const float *in = p->col[0].data;
    const int32_t *label = p->col[1].data;
    struct loader_spec ls = {.part = p, .seed = 2, .shuffle = true, .batch = 16, .epochs = 2, .augment = {.mixup = 1}};
    struct loader *l = loader_new(&ls, 0, 0, &e);
    int right = 0, rows = 0, apart = 0;
    for (const struct batch *b; l && (b = loader_next(l));)
        for (int64_t r = 0; r < b->rows; r++, rows++)
            for (int64_t q = 0; q < b->rows; q++) {
                double off = 0;
                for (int j = 0; j < 12; j++) {
                    double own = (double)in[b->index[r] * 12 + j], other = (double)in[b->index[q] * 12 + j];
                    off = fmax(off, fabs((double)((const float *)b->col[0].data)[r * 12 + j] - ((double)b->share * own + (1 - (double)b->share) * other)));
                }
                if (off > 1e-5 || ((const int32_t *)b->col[1].data)[r] != label[b->index[r]] || b->other[r] != label[b->index[q]]) continue;
                right++, apart += q != r;
                break;
            }
    tap_ok(rows == 128 && right == rows && apart > 100, "mixup: %d of %d rows are mixed with one other, which gives the other label %s", right, rows, e.text);
    loader_free(l);
    dataset_unref(d);
}

/* The loss of a mixed batch is that of the soft targets, to rounding. */
static void mixed_loss(void) {
    struct err e = {0};
    struct dataset *d = make_data(64, 0, -1, 0);
    const struct part *p = &d->part[PART_TRAIN];
    struct handle h = objects_add_data(d), mh = make_model(h, false);
    struct model *m = objects_model(mh, &e);
    struct val *spec = val_table(), *w = val_list();
    val_set_str(spec, "loss", "cross_entropy");
    val_set_num(spec, "label_smoothing", 0.1);
    for (int i = 0; i < 3; i++) val_push(w, val_num(0.5 + i));
    val_set(spec, "class_weights", w);
    for (int form = 0; form < 2; form++) {
        struct loss_spec loss;
        if (loss_init(&loss, form ? spec : NULL, true, &e)) BUG("%s", e.text);
        struct step_spec ss = {.model = m, .loss = &loss, .rows = 16, .mixed = true};
        struct loader_spec ls = {.part = p, .seed = 1, .shuffle = true, .batch = 16, .epochs = 1, .augment = {.mixup = 1}};
        struct step *s = step_new(&ss, &e);
        struct loader *l = loader_new(&ls, 0, 0, &e);
        double worst = 0;
        for (const struct batch *b; s && l && (b = loader_next(l));) {
            struct extents x = step_load(s, p, b);
            struct step_result r;
            int64_t rows, width;
            if (step_run(s, &x, 0, NULL, &r, &e)) BUG("%s", e.text);
            const float *z = step_output(s, &x, &rows, &width);
            double sum = 0, weight = 0;
            for (int64_t i = 0; i < rows; i++) {
                double lse = 0, cw[3] = {form ? 0.5 : 1, form ? 1.5 : 1, form ? 2.5 : 1}, eps = form ? 0.1 : 0, t[3] = {0};
                for (int c = 0; c < 3; c++) lse += exp((double)z[i * 3 + c]);
                lse = log(lse);
                t[((int32_t *)b->col[1].data)[i]] += (double)b->share;
                t[b->other[i]] += 1 - (double)b->share;
                for (int c = 0; c < 3; c++) {
                    sum += ((1 - eps) * t[c] + eps / 3) * cw[c] * (lse - (double)z[i * 3 + c]);
                    weight += t[c] * cw[c];
                }
            }
            double off = fabs(r.loss - sum / weight) / (sum / weight);
            worst = off > worst ? off : worst;
        }
        tap_ok(worst < 1e-6, "mixup%s: the loss is that of soft targets (relative %.1e) %s", form ? " with smoothing and class weights" : "", worst, e.text);
        loader_free(l);
        step_free(s);
        loss_release(&loss);
    }
    val_free(spec);
}

/* A whole run with everything on ends with the bits of one that was cut off and resumed. */
static struct val *wild(struct val *a) {
    val_set_num(a, "mixup", 0.3);
    val_set_bool(a, "balanced", true);
    return a;
}
static void runs_resume(void) {
    struct err e;
    char want[65], hex[65];
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
    val_free(train(wild(train_args(m, d, 3)), &e));
    sum_of(m, want);
    m = make_model(d, false);
    struct val *a = wild(train_args(m, d, 3));
    val_set_int(a, "steps", 20);
    val_set_str(a, "name", "cut");
    val_free(train(a, &e));
    m = make_model(d, false);
    a = train_args(m, d, 3);
    val_set_str(a, "resume", "cut-1");
    struct val *r = train(a, &e);
    sum_of(m, hex);
    tap_ok(r && !strcmp(hex, want), "mixup and balanced: cut off at step 20 and resumed, the same weights %s", r ? "" : e.text);
    val_free(r);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-loader-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    log_set_sink(quiet, NULL);
    orders();
    pictures_move();
    resumes();
    shares();
    mixed_rows();
    open_hone();
    mixed_loss();
    runs_resume();
    close_hone();
    io_remove_tree(dir, &e);
    return tap_done();
}
