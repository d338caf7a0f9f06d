/* Classes of code points for the reading of WordPiece and BPE tokenizers. */
#ifndef HONE_DATASETS_TEXT_UNICODE_H
#define HONE_DATASETS_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_class { UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE, UNICODE_OTHER };

bool unicode_space(uint32_t cp); /* White_Space */
bool unicode_control(uint32_t cp); /* what BERT's cleaning removes: controls, formats, private use; not tab, newline, return */
bool unicode_mark(uint32_t cp); /* non-spacing mark */
bool unicode_punct(uint32_t cp); /* BERT's: P* and every ASCII symbol */
bool unicode_cjk(uint32_t cp); /* BERT's: ideographs that stand alone */
enum unicode_class unicode_class(uint32_t cp); /* \p{L}, \p{N}, \s, the rest */

#endif
