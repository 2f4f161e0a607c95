/* trailers.c - see trailers.h. */
#include "gateway/trailers.h"

/* RFC 9110 section 6.5.1, the list of RFC 7230 section 4.1.2, and what concerns this hop alone. */
static bool is_forbidden(struct str name)
{
	static const struct str names[] = {
		/* framing, routing, the hop */
		STR_INIT("Transfer-Encoding"), STR_INIT("Content-Length"), STR_INIT("Host"), STR_INIT("Connection"),
		STR_INIT("Keep-Alive"), STR_INIT("Proxy-Connection"), STR_INIT("Upgrade"), STR_INIT("TE"), STR_INIT("Trailer"),
		STR_INIT("Via"), STR_INIT("Forwarded"),
		/* modifiers of a request */
		STR_INIT("Cache-Control"), STR_INIT("Expect"), STR_INIT("Max-Forwards"), STR_INIT("Pragma"), STR_INIT("Range"),
		STR_INIT("If-Match"), STR_INIT("If-None-Match"), STR_INIT("If-Modified-Since"), STR_INIT("If-Unmodified-Since"),
		STR_INIT("If-Range"),
		/* authentication */
		STR_INIT("Authorization"), STR_INIT("Proxy-Authorization"), STR_INIT("WWW-Authenticate"),
		STR_INIT("Proxy-Authenticate"), STR_INIT("Cookie"), STR_INIT("Set-Cookie"),
		/* control of a response */
		STR_INIT("Age"), STR_INIT("Expires"), STR_INIT("Date"), STR_INIT("Location"), STR_INIT("Retry-After"),
		STR_INIT("Vary"), STR_INIT("Warning"),
		/* how the content is to be read */
		STR_INIT("Content-Encoding"), STR_INIT("Content-Type"), STR_INIT("Content-Range"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq_nocase(name, names[i]))
			return true;
	}
	return false;
}

static bool passes(const struct trailers *t, const struct hfield *f)
{
	return !is_forbidden(f->name) && !http_list_has(t->connection, f->name) && !header_filter_has(t->drop, f);
}

/* The values of all fields of that name, as one list. */
static struct str list_of(struct arena *a, const struct http_head *h, enum http_name id)
{
	size_t room = 0;

	for (unsigned i = 0; i < h->nfields; i++)
		room += h->field[i].id == id ? h->field[i].value.len + 1 : 0;

	struct buf b = { .ptr = arena_alloc(a, room + 1), .cap = room, .max = room };

	for (unsigned i = 0; i < h->nfields; i++) {
		if (h->field[i].id == id) {
			buf_adds(&b, h->field[i].value);
			buf_addc(&b, ',');
		}
	}
	return buf_str(&b);
}

struct trailers *trailers_expect(struct exchange *ex, const struct gw_route *route, const struct http_head *h)
{
	if (h->body != BODY_CHUNKED || !ex->req.te_trailers || ex->req.minor == 0)
		return NULL;

	struct trailers *t = arena_alloc(&ex->arena, sizeof(*t));

	*t = (struct trailers){
		.lines = BUF_INIT(H1_TRAILER_MAX),
		.connection = list_of(&ex->arena, h, H_CONNECTION),
		.drop = &route->drop,
	};
	return t;
}

void trailers_announce(const struct trailers *t, struct buf *head, const struct http_head *h)
{
	size_t before = head->len;

	for (unsigned i = 0; i < h->nfields; i++) {
		struct str list = h->field[i].value, name;

		while (h->field[i].id == H_TRAILER && str_cut(&list, ',', &name)) {
			struct hfield f = { .name = str_trim(name), .id = http_name_of(str_trim(name)) };

			if (!http_is_token(f.name) || !passes(t, &f))
				continue;
			buf_adds(head, head->len == before ? STR("Trailer: ") : STR(", "));
			buf_adds(head, f.name);
		}
	}
	if (head->len > before)
		buf_adds(head, STR("\r\n"));
}

struct str trailers_passing(const struct trailers *t, struct arena *a)
{
	struct str lines = buf_str(&t->lines);
	size_t room = 2 * lines.len; /* a blank is added behind each colon */
	struct buf b = { .ptr = arena_alloc(a, room + 1), .cap = room, .max = room };
	struct hfield f;

	while (h1_trailer_cut(&lines, &f)) {
		if (passes(t, &f))
			head_add(&b, f.name, f.value);
	}
	return buf_str(&b);
}

void trailers_fini(struct trailers *t)
{
	if (t)
		buf_fini(&t->lines);
}
