/* fuzz_llhttp_response.c - responses: our parser beside llhttp. The first byte chooses the method that is answered. */
#include "oracle_llhttp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method methods[] = { HTTP_GET, HTTP_HEAD, HTTP_POST };

	if (size)
		compare_response(str_of((const char *)data + 1, size - 1), methods[data[0] % ARRAY_LEN(methods)]);
	return 0;
}
