/* httpmeter.c - see httpmeter.h. Tags and their words are Spring's: method, uri, status, outcome. */
#include "manage/httpmeter.h"

#include <stdio.h>

#include "http/server.h"
#include "manage/meters.h"

static const struct meter_desc desc = {
	.name = "http.server.requests",
	.help = "Duration of HTTP requests that this process answered",
	.unit = "seconds",
	.max_members = 1000,
};

void http_meter_init(struct http_meter *m, struct meters *meters, unsigned stripe)
{
	*m = (struct http_meter){ .meters = meters, .stripe = stripe };
	m->slot = xzalloc(HTTP_METER_SLOTS * sizeof(*m->slot));
}

void http_meter_fini(struct http_meter *m)
{
	free(m->slot);
	m->slot = NULL;
}

static const char *outcome(unsigned status)
{
	static const char *const by_hundred[] = { "UNKNOWN", "INFORMATIONAL", "SUCCESS", "REDIRECTION", "CLIENT_ERROR", "SERVER_ERROR" };

	return status / 100 < ARRAY_LEN(by_hundred) ? by_hundred[status / 100] : "UNKNOWN";
}

/* What Spring says for a path that no pattern names. */
static struct str uri_of(const char *pattern, unsigned status)
{
	if (pattern[0])
		return str_from(pattern);
	if (status == 404)
		return STR("NOT_FOUND");
	if (status / 100 == 3)
		return STR("REDIRECTION");
	return STR("UNKNOWN");
}

static struct meter_timer *find(struct http_meter *m, const struct http_meter_slot *key)
{
	char status[8];
	struct str method = key->method == HTTP_OTHER ? STR("UNKNOWN") : http_method_name(key->method);

	snprintf(status, sizeof(status), "%u", key->status);

	const struct meter_tag tags[] = {
		{ "method", method },
		{ "outcome", str_from(outcome(key->status)) },
		{ "status", key->status ? str_from(status) : STR("UNKNOWN") }, /* the client went before an answer */
		{ "uri", uri_of(key->pattern, key->status) },
	};

	return meters_timer(m->meters, &desc, tags, ARRAY_LEN(tags));
}

void http_meter_note(struct http_meter *m, const struct exchange *ex, usec now)
{
	const char *pattern = ex->pattern ? ex->pattern : "";
	size_t n = strnlen(pattern, sizeof(m->slot->pattern) - 1);
	unsigned status = ex->status <= 999 ? ex->status : 0;
	uint64_t h = ((uintptr_t)pattern >> 2) * 31 + status * 7u + (unsigned)ex->req.mid;
	struct http_meter_slot *s = &m->slot[(h ^ h >> 7) % HTTP_METER_SLOTS];

	if (!s->timer || s->status != status || s->method != ex->req.mid || memcmp(s->pattern, pattern, n) != 0 ||
	    s->pattern[n] != '\0') {
		*s = (struct http_meter_slot){ .status = (uint16_t)status, .method = (uint8_t)ex->req.mid };
		memcpy(s->pattern, pattern, n);
		s->timer = find(m, s);
	}
	meter_timer_add(s->timer, m->stripe, now - ex->began, now);
}
