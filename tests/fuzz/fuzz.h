/* What fuzz targets share: the entry point of libFuzzer, and a limit for single requests of memory. */
#ifndef HONE_TESTS_FUZZ_FUZZ_H
#define HONE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern size_t fuzz_limit; /* bytes; a larger request aborts; 0: no limit */

#endif
