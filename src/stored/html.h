/* Pieces of the HTML report: escaped text, value trees as tables, charts as SVG. Everything is appended to a buffer; no files. */
#ifndef HONE_STORED_HTML_H
#define HONE_STORED_HTML_H

#include "src/base/buf.h"
#include "src/base/val.h"
#include "src/run/marks.h"
#include "src/run/series.h"

void html_text(struct buf *b, const char *s); /* any foreign string: made harmless as for a terminal, then escaped */
void html_num(struct buf *b, double v); /* up to 6 digits */
void html_value(struct buf *b, const struct val *v); /* a scalar as text, a table as rows of name and value, a list of tables as a table with a head */
void html_confusion(struct buf *b, const struct val *matrix, const struct val *classes); /* rows: true class; shaded by the share of the row */
/* A chart of up to 4 series over steps: mean as a line, min to max as a band, values that are not finite as crosses at the top, marks as dashed lines. */
void svg_chart(struct buf *b, const char *title, struct series *const *series, int n, const struct mark *mark, size_t n_mark);

#endif
