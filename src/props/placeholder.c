/* placeholder.c - see placeholder.h. Recursion is bounded, so a cycle ends as "too deep" if it is not seen before. */
#include "props/placeholder.h"

#include "base/buf.h"

struct resolve {
	struct arena *a;
	bool (*lookup)(void *ctx, struct str name, struct str *ret);
	void *ctx;
	struct err *e;
	struct str active[PLACEHOLDER_DEPTH_MAX]; /* names that are being resolved */
	unsigned n_active;
	size_t steps;
};

static int resolve_text(struct resolve *r, struct str text, struct buf *out, unsigned depth);

/* text starts behind "${": where the matching "}" is, or -1. */
static ptrdiff_t matching_end(struct str text)
{
	unsigned level = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
			level++;
			i++;
		} else if (text.ptr[i] == '}') {
			if (level == 0)
				return (ptrdiff_t)i;
			level--;
		}
	}
	return -1;
}

/* The colon that parts name and default: the first outside of inner placeholders. */
static ptrdiff_t default_colon(struct str body)
{
	unsigned level = 0;

	for (size_t i = 0; i < body.len; i++) {
		if (body.ptr[i] == '$' && i + 1 < body.len && body.ptr[i + 1] == '{')
			level++;
		else if (body.ptr[i] == '}')
			level--;
		else if (body.ptr[i] == ':' && level == 0)
			return (ptrdiff_t)i;
	}
	return -1;
}

static int resolve_name(struct resolve *r, struct str name, bool has_default, struct str def, struct buf *out, unsigned depth)
{
	struct str raw;

	for (unsigned i = 0; i < r->n_active; i++) {
		if (str_eq(r->active[i], name))
			return err_set(r->e, VINE_EINVAL, "placeholder '%.*s' refers to itself", STRF(name));
	}
	if (r->lookup(r->ctx, name, &raw)) {
		if (r->n_active == PLACEHOLDER_DEPTH_MAX)
			return err_set(r->e, VINE_ELIMIT, "placeholders nested too deeply");
		r->active[r->n_active++] = name;

		int ret = resolve_text(r, raw, out, depth + 1);

		r->n_active--;
		return ret;
	}
	if (has_default)
		return resolve_text(r, def, out, depth + 1);
	return err_set(r->e, VINE_EINVAL, "placeholder '%.*s' has no value and no default", STRF(name));
}

static int resolve_one(struct resolve *r, struct str body, struct buf *out, unsigned depth)
{
	ptrdiff_t colon = default_colon(body);
	struct str name = str_trim(colon < 0 ? body : str_slice(body, 0, (size_t)colon));
	struct str def = colon < 0 ? STR_EMPTY : str_slice(body, (size_t)colon + 1, body.len);
	struct buf plain = BUF_INIT(4096);
	int ret = resolve_text(r, name, &plain, depth + 1); /* the name may hold placeholders itself */

	name = str_dup_in(r->a, buf_str(&plain));
	buf_fini(&plain);
	return ret < 0 ? ret : resolve_name(r, name, colon >= 0, def, out, depth);
}

static int resolve_text(struct resolve *r, struct str text, struct buf *out, unsigned depth)
{
	if (depth > PLACEHOLDER_DEPTH_MAX || ++r->steps > 10000)
		return err_set(r->e, VINE_ELIMIT, "placeholders nested too deeply");
	while (text.len) {
		ptrdiff_t at = str_find(text, STR("${"));

		if (at < 0)
			break;
		if (at > 0 && text.ptr[at - 1] == '\\') {
			buf_add(out, text.ptr, (size_t)at - 1);
			buf_adds(out, STR("${"));
			text = str_slice(text, (size_t)at + 2, text.len);
			continue;
		}

		struct str rest = str_slice(text, (size_t)at + 2, text.len);
		ptrdiff_t end = matching_end(rest);

		if (end < 0)
			break; /* Spring leaves an unclosed one as it is */
		buf_add(out, text.ptr, (size_t)at);

		int ret = resolve_one(r, str_slice(rest, 0, (size_t)end), out, depth);

		if (ret < 0)
			return ret;
		text = str_slice(rest, (size_t)end + 1, rest.len);
	}
	buf_adds(out, text);
	return out->failed ? err_set(r->e, VINE_ELIMIT, "the value becomes too long") : 0;
}

int placeholder_resolve(struct arena *a, struct str text, bool (*lookup)(void *ctx, struct str name, struct str *ret), void *ctx,
			struct str *ret, struct err *e)
{
	struct resolve r = { .a = a, .lookup = lookup, .ctx = ctx, .e = e };
	struct buf out = BUF_INIT(PLACEHOLDER_RESULT_MAX);

	if (str_find(text, STR("${")) < 0) {
		*ret = text;
		return 0;
	}

	int code = resolve_text(&r, text, &out, 0);

	if (code == 0)
		*ret = str_dup_in(a, buf_str(&out));
	buf_fini(&out);
	return code;
}
