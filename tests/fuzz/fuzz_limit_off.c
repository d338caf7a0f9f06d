/* libFuzzer limits memory itself (-malloc_limit_mb): here the limit of the targets is only a number. */
#include "tests/fuzz/fuzz.h"

size_t fuzz_limit;
