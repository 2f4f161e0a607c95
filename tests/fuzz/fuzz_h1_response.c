/* fuzz_h1_response.c - heads of responses. The first byte chooses the method that is answered. */
#include "fuzz.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method methods[] = { HTTP_GET, HTTP_HEAD, HTTP_POST };
	const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = 64 };
	struct hfield fields[64];
	struct http_head h;

	if (size == 0)
		return 0;

	enum http_method m = methods[data[0] % ARRAY_LEN(methods)];
	const char *p = (const char *)data + 1;
	struct h1_result r = h1_parse_response(&h, fields, p, size - 1, &limits, m);

	PROMISE(r.len <= size - 1);
	PROMISE(r.status == 0 || (r.status == 502 && r.why && r.len == 0));
	if (r.status != 0 || r.len == 0)
		return 0;
	PROMISE(h.status >= 100 && h.status <= 999 && h.minor <= 1 && h.nfields <= limits.fields);
	if (m == HTTP_HEAD || h.status < 200 || h.status == 204 || h.status == 304)
		PROMISE(h.body == BODY_NONE);
	if (h.body == BODY_UNTIL_CLOSE)
		PROMISE(!h.keep_alive);
	for (unsigned i = 0; i < h.nfields; i++) {
		PROMISE(h.field[i].name.ptr >= p && h.field[i].name.ptr + h.field[i].name.len <= p + r.len);
		PROMISE(http_is_token(h.field[i].name) && http_value_is_clean(h.field[i].value));
	}
	return 0;
}
