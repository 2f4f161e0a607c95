/* fuzz_llhttp.c - requests: our parser beside llhttp. oracle_llhttp.h says what is promised, and where we differ on purpose. */
#include "oracle_llhttp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	compare_request(str_of((const char *)data, size));
	return 0;
}
