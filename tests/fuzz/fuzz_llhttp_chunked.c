/* fuzz_llhttp_chunked.c - chunked bodies: our parser beside llhttp, behind a request's head and behind a response's. */
#include "oracle_llhttp.h"

static void play(struct str head, struct str body, void (*compare)(struct str in))
{
	struct buf b = BUF_INIT(1 << 20);

	buf_adds(&b, head);
	buf_adds(&b, body);
	compare(buf_str(&b));
	buf_fini(&b);
}

static void as_response(struct str in)
{
	compare_response(in, HTTP_GET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_of((const char *)data, size);

	play(STR("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), body, compare_request);
	play(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), body, as_response);
	return 0;
}
