/* response.c - an answer in memory, with its fields. */
#include "client/impl.h"

static void response_free(struct shared *s)
{
	struct vine_response *rs = container_of(s, struct vine_response, shared);

	arena_fini(&rs->arena);
	buf_fini(&rs->body);
	free(rs);
}

struct vine_response *response_new(void)
{
	struct vine_response *rs = xzalloc(sizeof(*rs));

	shared_init(&rs->shared, response_free);
	arena_init(&rs->arena, 1024);
	buf_init(&rs->body, RESPONSE_BODY_MAX + 1); /* + 1: its NUL */
	return rs;
}

void response_reset(struct vine_response *rs)
{
	arena_reset(&rs->arena);
	buf_clear(&rs->body);
	rs->fields = NULL;
	rs->n_fields = 0;
	rs->status = 0;
	rs->server[0] = '\0';
}

void response_set_head(struct vine_response *rs, const struct http_head *h)
{
	rs->status = h->status;
	rs->n_fields = h->nfields;
	rs->fields = arena_alloc(&rs->arena, sizeof(*rs->fields) * (h->nfields + 1));
	for (unsigned i = 0; i < h->nfields; i++)
		rs->fields[i] = (struct field){ str_dup_in(&rs->arena, h->field[i].name), str_dup_in(&rs->arena, h->field[i].value) };
}

void vine_response_free(struct vine_response *rs)
{
	if (rs)
		shared_unref(&rs->shared);
}

unsigned vine_response_status(const struct vine_response *rs)
{
	return rs->status;
}

const char *vine_response_body(const struct vine_response *rs, size_t *len)
{
	if (len)
		*len = rs->body.len;
	return rs->body.ptr ? rs->body.ptr : "";
}

const char *vine_response_header(const struct vine_response *rs, const char *name)
{
	struct str want = str_from(name);

	for (unsigned i = 0; i < rs->n_fields; i++) {
		if (str_eq_nocase(rs->fields[i].name, want))
			return rs->fields[i].value.ptr;
	}
	return NULL;
}

const char *vine_response_server(const struct vine_response *rs)
{
	return rs->server[0] ? rs->server : NULL;
}

unsigned vine_response_tries(const struct vine_response *rs)
{
	return rs->tries;
}

enum vine_cause vine_response_cause(const struct vine_response *rs)
{
	return rs->cause;
}

const char *vine_cause_name(enum vine_cause cause)
{
	static const char *const names[] = {
		[VINE_CAUSE_NONE] = "none",
		[VINE_CAUSE_FAILURE] = "failure",
		[VINE_CAUSE_TIMEOUT] = "timeout",
		[VINE_CAUSE_SHORT_CIRCUIT] = "short circuit",
		[VINE_CAUSE_REJECTED] = "rejected",
		[VINE_CAUSE_NO_SERVER] = "no server",
	};

	return (size_t)cause < ARRAY_LEN(names) ? names[cause] : "unknown";
}

void vine_response_set(struct vine_response *rs, unsigned status, const char *type, const void *body, size_t len)
{
	assert(len <= RESPONSE_BODY_MAX);
	response_reset(rs);
	rs->status = status;
	if (type) {
		rs->fields = arena_alloc(&rs->arena, sizeof(*rs->fields));
		rs->fields[0] = (struct field){ STR("Content-Type"), str_dup_in(&rs->arena, str_from(type)) };
		rs->n_fields = 1;
	}
	buf_add(&rs->body, body, len);
	buf_addc(&rs->body, '\0');
	rs->body.len--;
}
