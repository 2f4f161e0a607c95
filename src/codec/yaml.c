/* yaml.c - see yaml.h. A small tree per document, because aliases and merge keys refer back; then one walk flattens it. */
#include "codec/yaml.h"

#include <stdio.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/map.h"

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
	enum node_kind kind;
	enum flat_kind type;
	struct str value;      /* scalar */
	struct node **key;     /* map */
	struct node **item;    /* map's values, list's items */
	size_t n, cap;
	unsigned line, column;
};

struct parser {
	yaml_parser_t y;
	struct arena *a;
	struct map anchors;
	struct err *e;
	size_t nodes;
};

static int fail_at(struct parser *p, const yaml_mark_t *m, int code, const char *what)
{
	return err_set(p->e, code, "%zu:%zu: %s", m->line + 1, m->column + 1, what);
}

static int next_event(struct parser *p, yaml_event_t *ev)
{
	if (yaml_parser_parse(&p->y, ev))
		return 0;

	const yaml_mark_t *m = &p->y.problem_mark;

	return err_set(p->e, VINE_EINVAL, "%zu:%zu: %s%s%s", m->line + 1, m->column + 1,
		       p->y.problem ? p->y.problem : "cannot be read", p->y.context ? ", " : "",
		       p->y.context ? p->y.context : "");
}

/* --- implicit types --- */

static bool is_one_of(struct str s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct str w = str_from(words[i]);

		if (str_eq_nocase(s, w)) { /* all lower, all upper, or capitalised */
			bool rest_lower = true, rest_upper = true;

			for (size_t k = 1; k < s.len; k++) {
				rest_lower = rest_lower && s.ptr[k] == ascii_lower(s.ptr[k]);
				rest_upper = rest_upper && s.ptr[k] == ascii_upper(s.ptr[k]);
			}
			return rest_lower || (rest_upper && s.ptr[0] == ascii_upper(s.ptr[0]));
		}
	}
	return false;
}

static bool digits_to_int(struct str s, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;
	bool any = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '_')
			continue;

		int d = ascii_hex(s.ptr[i]);

		if (d < 0 || (unsigned)d >= base || __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, (unsigned)d, &v))
			return false;
		any = true;
	}
	*ret = v;
	return any;
}

/* 12:30:45, base 60: the first part any number, the others 0..59 */
static bool sexagesimal(struct str s, uint64_t *ret)
{
	struct str piece;
	uint64_t v = 0, d;
	bool first = true;

	while (str_cut(&s, ':', &piece)) {
		if (!digits_to_int(piece, 10, &d) || (!first && (d > 59 || piece.len > 2)))
			return false;
		if (__builtin_mul_overflow(v, 60u, &v) || __builtin_add_overflow(v, d, &v))
			return false;
		first = false;
	}
	*ret = v;
	return true;
}

static bool is_int(struct str s, uint64_t *ret)
{
	if (s.len == 0 || !ascii_is_digit(s.ptr[0]))
		return false;
	if (str_eq(s, STR("0"))) {
		*ret = 0;
		return true;
	}
	if (str_has_prefix(s, STR("0b")))
		return digits_to_int(str_slice(s, 2, s.len), 2, ret);
	if (str_has_prefix(s, STR("0x")))
		return digits_to_int(str_slice(s, 2, s.len), 16, ret);
	if (str_chr(s, ':') >= 0)
		return s.ptr[0] != '0' && sexagesimal(s, ret);
	if (s.ptr[0] == '0')
		return digits_to_int(str_slice(s, 1, s.len), 8, ret);
	return digits_to_int(s, 10, ret);
}

static bool is_float(struct str s)
{
	bool digit = false, dot = false;
	size_t i = 0;

	if (str_eq_nocase(s, STR(".inf")) || str_eq_nocase(s, STR(".nan")))
		return true;
	for (; i < s.len && (ascii_is_digit(s.ptr[i]) || s.ptr[i] == '_' || s.ptr[i] == '.'); i++) {
		digit = digit || ascii_is_digit(s.ptr[i]);
		if (s.ptr[i] == '.' && dot)
			return false;
		dot = dot || s.ptr[i] == '.';
	}
	if (!digit || !dot)
		return false;
	if (i == s.len)
		return true;
	if (ascii_lower(s.ptr[i]) != 'e' || i + 2 >= s.len || (s.ptr[i + 1] != '+' && s.ptr[i + 1] != '-'))
		return false;
	for (i += 2; i < s.len; i++) {
		if (!ascii_is_digit(s.ptr[i]))
			return false;
	}
	return true;
}

enum flat_kind yaml_plain_type(struct arena *a, struct str plain, struct str *ret)
{
	static const char *const trues[] = { "true", "yes", "on" }, *const falses[] = { "false", "no", "off" };
	struct str s = plain;
	bool neg = s.len && s.ptr[0] == '-';
	uint64_t v;

	*ret = plain;
	if (s.len == 0 || str_eq(s, STR("~")) || str_eq(s, STR("null")) || str_eq(s, STR("Null")) || str_eq(s, STR("NULL"))) {
		*ret = STR("");
		return FLAT_NULL;
	}
	if (is_one_of(s, trues, ARRAY_LEN(trues))) {
		*ret = STR("true");
		return FLAT_BOOL;
	}
	if (is_one_of(s, falses, ARRAY_LEN(falses))) {
		*ret = STR("false");
		return FLAT_BOOL;
	}
	if (s.ptr[0] == '-' || s.ptr[0] == '+')
		s = str_slice(s, 1, s.len);
	if (is_int(s, &v)) {
		*ret = str_printf_in(a, "%s%llu", neg ? "-" : "", (unsigned long long)v);
		return FLAT_INT;
	}
	return is_float(s) ? FLAT_FLOAT : FLAT_STR;
}

/* --- the tree --- */

static int parse_node(struct parser *p, yaml_event_t *ev, unsigned depth, struct node **ret);

static struct node *new_node(struct parser *p, enum node_kind kind, const yaml_event_t *ev)
{
	struct node *n = arena_zalloc(p->a, sizeof(*n));

	n->kind = kind;
	n->line = (unsigned)ev->start_mark.line + 1;
	n->column = (unsigned)ev->start_mark.column + 1;
	p->nodes++;
	return n;
}

static void node_add(struct parser *p, struct node *n, struct node *key, struct node *item)
{
	if (n->n == n->cap) {
		size_t cap = MAX(n->cap * 2, (size_t)8);
		struct node **k = arena_alloc(p->a, cap * sizeof(*k)), **i = arena_alloc(p->a, cap * sizeof(*i));

		if (n->n) {
			memcpy(k, n->key, n->n * sizeof(*k));
			memcpy(i, n->item, n->n * sizeof(*i));
		}
		n->key = k;
		n->item = i;
		n->cap = cap;
	}
	n->key[n->n] = key;
	n->item[n->n++] = item;
}

static void remember(struct parser *p, const yaml_char_t *anchor, struct node *n)
{
	if (anchor)
		map_put(&p->anchors, str_dup_in(p->a, str_from((const char *)anchor)), n);
}

static void parse_scalar(struct parser *p, const yaml_event_t *ev, struct node *n)
{
	struct str text = str_dup_in(p->a, str_of((const char *)ev->data.scalar.value, ev->data.scalar.length));

	n->value = text;
	n->type = FLAT_STR;
	if (ev->data.scalar.plain_implicit && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		n->type = yaml_plain_type(p->a, text, &n->value);
}

static int parse_members(struct parser *p, struct node *n, yaml_event_type_t end, unsigned depth)
{
	for (;;) {
		yaml_event_t ev;
		struct node *key = NULL, *item = NULL;
		int r = next_event(p, &ev);

		if (r < 0)
			return r;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			return 0;
		}
		if (n->kind == NODE_MAP) {
			r = parse_node(p, &ev, depth, &key);
			if (r < 0)
				return r;
			r = next_event(p, &ev);
			if (r < 0)
				return r;
		}
		r = parse_node(p, &ev, depth, &item);
		if (r < 0)
			return r;
		node_add(p, n, key, item);
	}
}

/* Takes the event over. */
static int parse_node(struct parser *p, yaml_event_t *ev, unsigned depth, struct node **ret)
{
	struct node *n = NULL;
	int r = 0;

	if (depth > FLAT_DEPTH_MAX)
		r = fail_at(p, &ev->start_mark, VINE_ELIMIT, "nested too deeply");
	else if (p->nodes > FLAT_ENTRIES_MAX)
		r = fail_at(p, &ev->start_mark, VINE_ELIMIT, "too many entries");
	else if (ev->type == YAML_ALIAS_EVENT) {
		n = map_get(&p->anchors, str_from((const char *)ev->data.alias.anchor));
		if (!n)
			r = fail_at(p, &ev->start_mark, VINE_EINVAL, "unknown alias");
	} else if (ev->type == YAML_SCALAR_EVENT) {
		n = new_node(p, NODE_SCALAR, ev);
		parse_scalar(p, ev, n);
		remember(p, ev->data.scalar.anchor, n);
	} else if (ev->type == YAML_MAPPING_START_EVENT) { /* known by its name only once it is complete: no cycles */
		n = new_node(p, NODE_MAP, ev);
		r = parse_members(p, n, YAML_MAPPING_END_EVENT, depth + 1);
		remember(p, ev->data.mapping_start.anchor, n);
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		n = new_node(p, NODE_LIST, ev);
		r = parse_members(p, n, YAML_SEQUENCE_END_EVENT, depth + 1);
		remember(p, ev->data.sequence_start.anchor, n);
	} else {
		r = fail_at(p, &ev->start_mark, VINE_EINVAL, "unexpected");
	}
	yaml_event_delete(ev);
	*ret = n;
	return r;
}

/* --- flattening --- */

struct walk {
	struct parser *p;
	struct flat *f;
	struct flat_doc *doc;
	struct buf key;
	struct map seen;
};

static int walk(struct walk *w, const struct node *n, unsigned depth);

static int emit(struct walk *w, const struct node *n, struct str value, enum flat_kind kind)
{
	struct flat_entry e = {
		.key = str_dup_in(w->p->a, buf_str(&w->key)),
		.value = value,
		.kind = kind,
		.line = n->line,
		.column = n->column,
	};

	if (map_put(&w->seen, e.key, (void *)(uintptr_t)1))
		return err_set(w->p->e, VINE_EINVAL, "%u:%u: duplicate key '%.*s'", n->line, n->column, STRF(e.key));
	if (!flat_add(w->f, w->doc, &e))
		return err_set(w->p->e, VINE_ELIMIT, "%u:%u: too many entries", n->line, n->column);
	return 0;
}

static bool is_merge(const struct node *key)
{
	return key->kind == NODE_SCALAR && key->type == FLAT_STR && str_eq(key->value, STR("<<"));
}

static const struct node *own_value(const struct node *map, struct str key)
{
	for (size_t i = 0; i < map->n; i++) {
		if (map->key[i]->kind == NODE_SCALAR && !is_merge(map->key[i]) && str_eq(map->key[i]->value, key))
			return map->item[i];
	}
	return NULL;
}

static int push_key(struct walk *w, const struct node *key)
{
	struct str k = key->value;

	if (key->kind != NODE_SCALAR)
		return err_set(w->p->e, VINE_EINVAL, "%u:%u: a key must be a scalar", key->line, key->column);
	if (key->type != FLAT_STR && key->type != FLAT_NULL)
		buf_addf(&w->key, "[%.*s]", STRF(k));
	else if (k.len && k.ptr[0] == '[')
		buf_adds(&w->key, k);
	else
		buf_addf(&w->key, "%s%.*s", w->key.len ? "." : "", STRF(k));
	if (w->key.failed || w->key.len > FLAT_KEY_MAX)
		return err_set(w->p->e, VINE_ELIMIT, "%u:%u: key too long", key->line, key->column);
	return 0;
}

static int walk_member(struct walk *w, const struct node *key, const struct node *item, unsigned depth)
{
	size_t len = w->key.len;
	int r = push_key(w, key);

	if (r == 0)
		r = walk(w, item, depth + 1);
	w->key.len = len;
	return r;
}

static int walk_merged(struct walk *w, const struct node *into, const struct node *from, unsigned depth)
{
	if (from->kind == NODE_LIST) {
		for (size_t i = 0; i < from->n; i++) {
			int r = walk_merged(w, into, from->item[i], depth + 1);

			if (r < 0)
				return r;
		}
		return 0;
	}
	if (from->kind != NODE_MAP || depth > FLAT_DEPTH_MAX)
		return err_set(w->p->e, VINE_EINVAL, "%u:%u: only maps can be merged", from->line, from->column);
	for (size_t i = 0; i < from->n; i++) {
		if (own_value(into, from->key[i]->value))
			continue;

		int r = walk_member(w, from->key[i], from->item[i], depth);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_duplicates(struct walk *w, const struct node *n)
{
	struct map seen;
	int r = 0;

	map_init(&seen, 1);
	for (size_t i = 0; i < n->n && r == 0; i++) {
		const struct node *k = n->key[i];

		if (k->kind == NODE_SCALAR && map_put(&seen, k->value, (void *)(uintptr_t)1))
			r = err_set(w->p->e, VINE_EINVAL, "%u:%u: duplicate key '%.*s'", k->line, k->column, STRF(k->value));
	}
	map_fini(&seen);
	return r;
}

static int walk_map(struct walk *w, const struct node *n, unsigned depth)
{
	int r = check_duplicates(w, n);

	for (size_t i = 0; i < n->n && r == 0; i++) {
		if (!is_merge(n->key[i]))
			r = walk_member(w, n->key[i], n->item[i], depth);
	}
	for (size_t i = 0; i < n->n && r == 0; i++) {
		if (is_merge(n->key[i]))
			r = walk_merged(w, n, n->item[i], depth);
	}
	return r;
}

static int walk(struct walk *w, const struct node *n, unsigned depth)
{
	size_t len = w->key.len;
	int r = 0;

	if (depth > FLAT_DEPTH_MAX)
		return err_set(w->p->e, VINE_ELIMIT, "%u:%u: nested too deeply", n->line, n->column);
	switch (n->kind) {
	case NODE_SCALAR:
		return emit(w, n, n->value, n->type);
	case NODE_MAP:
		return walk_map(w, n, depth);
	case NODE_LIST:
		if (n->n == 0)
			return emit(w, n, STR(""), FLAT_NULL);
		for (size_t i = 0; i < n->n && r == 0; i++) {
			buf_addf(&w->key, "[%zu]", i);
			r = walk(w, n->item[i], depth + 1);
			w->key.len = len;
		}
		return r;
	}
	return r;
}

static int flatten(struct parser *p, struct flat *f, const struct node *root)
{
	struct walk w = { .p = p, .f = f, .key = BUF_INIT(2 * FLAT_KEY_MAX) };

	if (root->kind == NODE_SCALAR && (root->type == FLAT_NULL || root->value.len == 0))
		return 0; /* an empty document */
	w.doc = flat_new_doc(f);
	map_init(&w.seen, 1);
	if (root->kind != NODE_MAP)
		buf_addz(&w.key, "document");

	int r = walk(&w, root, 0);

	map_fini(&w.seen);
	buf_fini(&w.key);
	return r;
}

static int parse_documents(struct parser *p, struct flat *f)
{
	for (;;) {
		yaml_event_t ev;
		struct node *root = NULL;
		int r = next_event(p, &ev);

		if (r < 0)
			return r;

		yaml_event_type_t type = ev.type;

		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_START_EVENT)
			continue; /* stream start, document end */
		r = next_event(p, &ev);
		if (r == 0)
			r = parse_node(p, &ev, 0, &root);
		if (r == 0)
			r = flatten(p, f, root);
		if (r < 0)
			return r;
	}
}

int yaml_parse(struct flat *f, struct str text, struct err *e)
{
	struct parser p = { .a = f->arena, .e = e };

	if (text.len > FLAT_FILE_MAX)
		return err_set(e, VINE_ELIMIT, "1:1: the file is too large");
	if (!yaml_parser_initialize(&p.y))
		abort();
	map_init(&p.anchors, 1);
	yaml_parser_set_input_string(&p.y, (const unsigned char *)text.ptr, text.len);

	int r = parse_documents(&p, f);

	map_fini(&p.anchors);
	yaml_parser_delete(&p.y);
	return r;
}
