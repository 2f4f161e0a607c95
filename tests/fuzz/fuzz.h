/* fuzz.h - what a fuzz target defines, and how it says that a promise was broken. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise ends the process, so that fuzzer and replay both see it. */
#define PROMISE(x)                                                                                                     \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #x);                        \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)
