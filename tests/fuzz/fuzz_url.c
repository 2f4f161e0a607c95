/* fuzz_url.c - URLs, percent coding, query parameters: pieces lie inside the input, what is coded decodes to itself. */
#include "fuzz.h"

#include "codec/url.h"

static void inside(struct str s, struct str all)
{
	PROMISE(s.len == 0 || (s.ptr >= all.ptr && s.ptr + s.len <= all.ptr + all.len));
}

static void split(struct str text)
{
	struct url u;
	struct err e = { 0 };

	if (url_split(&u, text, &e) < 0) {
		PROMISE(e.text[0]);
		return;
	}
	inside(u.host, text);
	inside(u.query, text);
	PROMISE(u.host.len > 0 && u.path.len > 0 && u.path.ptr[0] == '/' && text.len <= URL_MAX);
	PROMISE(u.has_port || u.port == (u.secure ? 443 : 80));
}

static void code(struct arena *a, struct str text)
{
	struct buf b = BUF_INIT(1 << 20);
	struct str back;

	url_encode_segment(&b, text);
	PROMISE(url_decode(a, buf_str(&b), false, &back) && str_eq(back, text));
	buf_clear(&b);
	url_encode_query(&b, text);
	PROMISE(url_decode(a, buf_str(&b), true, &back) && str_eq(back, text));
	buf_fini(&b);
	if (url_decode(a, text, true, &back))
		PROMISE(back.len <= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_of((const char *)data, size), query = text, name, value, host;
	struct arena a;
	uint16_t port = 1;

	arena_init(&a, 4096);
	split(text);
	code(&a, text);
	if (url_split_authority(text, &host, &port, NULL) == 0)
		inside(host, text);
	while (url_next_param(&query, &name, &value)) {
		inside(name, text);
		inside(value, text);
	}
	url_param(&a, text, STR("a"), &value);
	arena_fini(&a);
	return 0;
}
