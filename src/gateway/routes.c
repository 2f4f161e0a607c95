/* routes.c - see routes.h. */
#include "gateway/routes.h"

/* --- Ant patterns --- */

static bool match_segment(struct str pat, struct str seg)
{
	size_t p = 0, s = 0, star = SIZE_MAX, mark = 0;

	while (s < seg.len) {
		if (p < pat.len && (pat.ptr[p] == '?' || (pat.ptr[p] == seg.ptr[s] && pat.ptr[p] != '*'))) {
			p++;
			s++;
		} else if (p < pat.len && pat.ptr[p] == '*') {
			star = p++;
			mark = s;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			s = ++mark;
		} else {
			return false;
		}
	}
	while (p < pat.len && pat.ptr[p] == '*')
		p++;
	return p == pat.len;
}

/* Cuts the next segment off; false at the end. "/a//b" has the segments a, (empty), b. */
static bool next_segment(struct str *rest, struct str *seg)
{
	if (rest->len == 0)
		return false;

	struct str s = rest->ptr[0] == '/' ? str_slice(*rest, 1, rest->len) : *rest;
	ptrdiff_t slash = str_chr(s, '/');

	*seg = slash < 0 ? s : str_slice(s, 0, (size_t)slash);
	*rest = slash < 0 ? STR_EMPTY : str_slice(s, (size_t)slash, s.len);
	return true;
}

/* One `**` is remembered at a time, as one `*` is within a segment, so this takes at most pattern x path steps. */
bool ant_match(struct str pattern, struct str path)
{
	struct str pat = pattern, rest = path, after_stars = STR_EMPTY, mark = STR_EMPTY;
	bool have_stars = false;

	for (;;) {
		struct str p_next = pat, s_next = rest, p_seg, s_seg;
		bool has_p = next_segment(&p_next, &p_seg), has_s = next_segment(&s_next, &s_seg);

		if (has_p && str_eq(p_seg, STR("**"))) {
			have_stars = true;
			after_stars = p_next;
			mark = rest;
			pat = p_next;
			continue;
		}
		if (!has_s && !has_p)
			return true;
		if (has_s && has_p && match_segment(p_seg, s_seg)) {
			pat = p_next;
			rest = s_next;
			continue;
		}
		if (!have_stars || !next_segment(&mark, &s_seg))
			return false;
		pat = after_stars;
		rest = mark;
	}
}

struct str ant_prefix(struct str pattern)
{
	size_t n = 0;

	while (n < pattern.len && pattern.ptr[n] != '*' && pattern.ptr[n] != '?' && pattern.ptr[n] != '{')
		n++;
	if (n == pattern.len)
		return STR_EMPTY; /* no wildcard: nothing is stripped */
	while (n && pattern.ptr[n - 1] == '/')
		n--;
	return str_slice(pattern, 0, n);
}

/* --- finding --- */

static bool is_prefix_pattern(struct str pattern)
{
	struct str prefix = ant_prefix(pattern);

	return prefix.len && prefix.len + 3 == pattern.len && str_has_suffix(pattern, STR("/**"));
}

static unsigned depth_of(struct str path)
{
	unsigned n = 0;

	for (size_t i = 0; i < path.len; i++)
		n += path.ptr[i] == '/';
	return n;
}

void gw_routes_compile(struct gw_routes *r, struct arena *a, uint64_t seed)
{
	map_init(&r->by_prefix, seed);
	r->odd = arena_alloc(a, MAX(r->n, 1u) * sizeof(*r->odd));
	for (unsigned i = 0; i < r->n; i++) {
		struct gw_route *rt = r->list[i];
		struct str prefix = ant_prefix(rt->path);

		rt->order = i;
		if (str_eq(rt->path, STR("/**"))) {
			r->catch_all = r->catch_all ? r->catch_all : rt;
		} else if (is_prefix_pattern(rt->path)) {
			r->max_depth = MAX(r->max_depth, depth_of(prefix));
			if (!map_get(&r->by_prefix, prefix))
				map_put(&r->by_prefix, prefix, rt);
		} else {
			r->odd[r->n_odd++] = rt;
		}
	}
}

void gw_routes_fini(struct gw_routes *r)
{
	map_fini(&r->by_prefix);
}

static const struct gw_route *earlier(const struct gw_route *a, const struct gw_route *b)
{
	if (!a || !b)
		return a ? a : b;
	return a->order < b->order ? a : b;
}

const struct gw_route *gw_routes_find(const struct gw_routes *r, struct str path)
{
	const struct gw_route *best = r->catch_all;
	unsigned depth = 0;

	for (unsigned i = 0; i < r->n_ignored; i++) {
		if (ant_match(r->ignored[i], path))
			return NULL;
	}
	for (size_t i = 1; i <= path.len && depth < r->max_depth; i++) {
		if (i < path.len && path.ptr[i] != '/')
			continue;
		depth++;
		best = earlier(best, map_get(&r->by_prefix, str_slice(path, 0, i)));
	}
	for (unsigned i = 0; i < r->n_odd && (!best || r->odd[i]->order < best->order); i++) {
		if (ant_match(r->odd[i]->path, path))
			best = r->odd[i];
	}
	return best;
}

/* --- header filters --- */

bool header_filter_has(const struct header_filter *f, const struct hfield *h)
{
	if (h->id != H_OTHER)
		return f->known >> h->id & 1;
	for (unsigned i = 0; i < f->n_other; i++) {
		if (str_eq_nocase(f->other[i], h->name))
			return true;
	}
	return false;
}

struct header_filter header_filter_parse(struct arena *a, struct str names)
{
	struct header_filter f = { 0 };
	struct str piece, rest = names;
	unsigned n = 1;

	for (size_t i = 0; i < names.len; i++)
		n += names.ptr[i] == ',';
	f.other = arena_alloc(a, n * sizeof(*f.other));
	while (str_cut(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.len == 0)
			continue;

		uint8_t id = http_name_of(piece);

		if (id != H_OTHER)
			f.known |= (uint64_t)1 << id;
		else
			f.other[f.n_other++] = str_dup_in(a, piece);
	}
	return f;
}

void header_filter_merge(struct header_filter *into, const struct header_filter *more, struct arena *a)
{
	struct str *all = arena_alloc(a, MAX(into->n_other + more->n_other, 1u) * sizeof(*all));

	if (into->n_other)
		memcpy(all, into->other, into->n_other * sizeof(*all));
	if (more->n_other)
		memcpy(all + into->n_other, more->other, more->n_other * sizeof(*all));
	into->known |= more->known;
	into->other = all;
	into->n_other += more->n_other;
}
