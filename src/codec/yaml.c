/* yaml.c - YAML into flat keys: libyaml's events build a small graph per document, which is then walked.
 *
 * The graph is needed for aliases and merge keys, which refer to what came before.
 *
 * Invariants   The graph has no cycle: an alias to a node that is still open is refused. So walking it ends; how long it may
 *              take is bounded by YAML_VISITS_MAX, since aliases can make a small file very large. Recursion is bounded by
 *              YAML_DEPTH_MAX, which counts aliased parts too.
 * Threads      No state between calls. */
#include "codec/yaml.h"

#include <yaml.h>

#include "base/buf.h"
#include "base/map.h"

enum node_kind { N_SCALAR, N_LIST, N_MAP };

struct node {
	enum node_kind kind;
	enum flat_kind type; /* of a scalar */
	bool merge;          /* the plain scalar "<<" */
	bool open;           /* its end has not been read yet */
	bool tail_is_key;    /* of an open map: a value is due */
	unsigned line, col;
	struct str text;
	struct node **items; /* of a map: key, value, key, value */
	size_t len, cap;
};

struct reader {
	yaml_parser_t parser;
	struct flat *flat;
	struct arena *arena;
	struct map anchors;
	struct node *stack[YAML_DEPTH_MAX];
	unsigned depth;
	size_t nodes, visits;
	struct node *root;
	struct buf path;
	struct err *e;
};

static int fail_at(struct reader *r, int code, const struct node *n, const char *text)
{
	return err_set(r->e, code, "%u:%u: %s", n->line, n->col, text);
}

static int fail_mark(struct reader *r, int code, yaml_mark_t m, const char *text)
{
	return err_set(r->e, code, "%zu:%zu: %s", m.line + 1, m.column + 1, text);
}

static struct str text_of(const yaml_char_t *z)
{
	return str_from((const char *)z);
}

static void append(struct reader *r, struct node *parent, struct node *n)
{
	if (parent->len == parent->cap) {
		size_t cap = parent->cap ? 2 * parent->cap : 8;
		struct node **items = arena_alloc(r->arena, cap * sizeof(*items));

		if (parent->len)
			memcpy(items, parent->items, parent->len * sizeof(struct node *));
		parent->items = items;
		parent->cap = cap;
	}
	parent->items[parent->len++] = n;
}

static int attach(struct reader *r, struct node *n)
{
	struct node *parent = r->depth ? r->stack[r->depth - 1] : NULL;

	if (!parent) {
		r->root = n;
		return VINE_OK;
	}
	if (parent->kind == N_MAP) {
		parent->tail_is_key = !parent->tail_is_key;
		if (parent->tail_is_key && n->kind != N_SCALAR)
			return fail_at(r, VINE_EINVAL, n, "a key must be a plain value");
	}
	append(r, parent, n);
	return VINE_OK;
}

static int new_node(struct reader *r, enum node_kind kind, const yaml_event_t *ev, const yaml_char_t *anchor,
		    struct node **ret)
{
	struct node *n;

	if (++r->nodes > YAML_NODES_MAX)
		return fail_mark(r, VINE_ELIMIT, ev->start_mark, "too many values");
	n = arena_zalloc(r->arena, sizeof(*n));
	n->kind = kind;
	n->line = (unsigned)ev->start_mark.line + 1;
	n->col = (unsigned)ev->start_mark.column + 1;
	if (anchor) {
		struct str name = str_dup_in(r->arena, text_of(anchor));

		map_put(&r->anchors, name, n); /* YAML allows to define a name anew */
	}
	*ret = n;
	return VINE_OK;
}

static bool is_core_tag(struct str tag, const char *name)
{
	return str_has_prefix(tag, STR("tag:yaml.org,2002:")) && str_eq(str_slice(tag, 18, tag.len), str_from(name));
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct str tag = text_of(ev->data.scalar.tag), resolved;
	struct str text = str_of((const char *)ev->data.scalar.value, ev->data.scalar.length);
	bool plain = ev->data.scalar.plain_implicit;
	struct node *n = NULL;
	int res = new_node(r, N_SCALAR, ev, ev->data.scalar.anchor, &n);

	if (res < 0)
		return res;
	assert(n);
	n->text = str_dup_in(r->arena, text);
	if (tag.len && !plain && !str_eq(tag, STR("!")) && !is_core_tag(tag, "str")) {
		if (!is_core_tag(tag, "int") && !is_core_tag(tag, "bool") && !is_core_tag(tag, "float") &&
		    !is_core_tag(tag, "null"))
			return fail_at(r, VINE_EINVAL, n, "this tag is not supported");
		plain = true;
	}
	if (plain) {
		n->type = yaml_resolve(r->arena, n->text, &resolved);
		n->text = resolved;
		n->merge = str_eq(n->text, STR("<<"));
	}
	return attach(r, n);
}

static int on_start(struct reader *r, const yaml_event_t *ev, enum node_kind kind)
{
	bool list = kind == N_LIST;
	struct str tag = text_of(list ? ev->data.sequence_start.tag : ev->data.mapping_start.tag);
	struct node *n = NULL;
	int res = new_node(r, kind, ev, list ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor, &n);

	if (res < 0)
		return res;
	assert(n);
	if (tag.len && !str_eq(tag, STR("!")) && !is_core_tag(tag, list ? "seq" : "map"))
		return fail_at(r, VINE_EINVAL, n, "this tag is not supported");
	if (r->depth == YAML_DEPTH_MAX)
		return fail_at(r, VINE_ELIMIT, n, "nested too deep");
	res = attach(r, n);
	if (res < 0)
		return res;
	n->open = true;
	r->stack[r->depth++] = n;
	return VINE_OK;
}

/* Sorts the key nodes' texts so that equal ones are neighbours. */
static int cmp_keys(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;
	int d = ((*x)->type == FLAT_STR) - ((*y)->type == FLAT_STR); /* "1" and 1 are two keys */

	if (d == 0)
		d = str_cmp((*x)->text, (*y)->text);
	if (d == 0)
		d = (*x)->line != (*y)->line ? ((*x)->line < (*y)->line ? -1 : 1) : (*x)->col < (*y)->col ? -1 : 1;
	return d;
}

static int check_keys(struct reader *r, struct node *map)
{
	size_t n = map->len / 2, k = 0;
	struct node **keys = xmalloc((n + 1) * sizeof(struct node *));
	int res = VINE_OK;

	for (size_t i = 0; i < n; i++)
		if (!map->items[2 * i]->merge)
			keys[k++] = map->items[2 * i];
	qsort(keys, k, sizeof(struct node *), cmp_keys);
	for (size_t i = 1; i < k && res == VINE_OK; i++) {
		bool same = str_eq(keys[i]->text, keys[i - 1]->text) &&
			    (keys[i]->type == FLAT_STR) == (keys[i - 1]->type == FLAT_STR);

		if (same)
			res = err_set(r->e, VINE_EINVAL, "%u:%u: \"%.*s\" was given before, on line %u", keys[i]->line,
				      keys[i]->col, (int)MIN(keys[i]->text.len, 100u), keys[i]->text.ptr, keys[i - 1]->line);
	}
	free(keys);
	return res;
}

static int on_end(struct reader *r)
{
	struct node *n = r->stack[--r->depth];

	n->open = false;
	return n->kind == N_MAP ? check_keys(r, n) : VINE_OK;
}

static int on_alias(struct reader *r, const yaml_event_t *ev)
{
	struct node *n = map_get(&r->anchors, text_of(ev->data.alias.anchor));

	if (!n)
		return fail_mark(r, VINE_EINVAL, ev->start_mark, "an alias to a name that was not given before");
	if (n->open)
		return fail_mark(r, VINE_EINVAL, ev->start_mark, "an alias to what encloses it");
	if (++r->nodes > YAML_NODES_MAX)
		return fail_mark(r, VINE_ELIMIT, ev->start_mark, "too many values");
	return attach(r, n);
}

static int flatten(struct reader *r, const struct node *n, unsigned depth);

static int emit(struct reader *r, const struct node *n, struct str value)
{
	struct flat_item item = { .key = str_dup_in(r->arena, buf_str(&r->path)),
				  .value = value,
				  .line = n->line,
				  .col = n->col,
				  .doc = r->flat->docs,
				  .kind = n->kind == N_SCALAR ? n->type : FLAT_NULL };

	return flat_add(r->flat, &item) < 0 ? fail_at(r, VINE_ELIMIT, n, "too many keys") : VINE_OK;
}

/* Goes down to child under the key step, which is already on the path up to `before`. */
static int descend(struct reader *r, const struct node *child, unsigned depth, size_t before)
{
	int res = r->path.failed ? fail_at(r, VINE_ELIMIT, child, "the key is too long") : flatten(r, child, depth + 1);

	r->path.failed = false;
	r->path.len = before;
	return res;
}

static int flatten_member(struct reader *r, const struct node *key, const struct node *value, unsigned depth)
{
	size_t before = r->path.len;

	if (key->type != FLAT_STR)
		buf_addf(&r->path, "[%.*s]", STRF(key->text));
	else {
		if (before && !(key->text.len && key->text.ptr[0] == '['))
			buf_addc(&r->path, '.');
		buf_adds(&r->path, key->text);
	}
	return descend(r, value, depth, before);
}

static bool same_key(const struct node *a, const struct node *b)
{
	return (a->type == FLAT_STR) == (b->type == FLAT_STR) && str_eq(a->text, b->text);
}

/* The effective members of a map with merge keys, as a new map: its own win, then earlier merged ones. */
static int gather(struct reader *r, const struct node *map, struct node *into, unsigned depth);

static int gather_source(struct reader *r, const struct node *source, struct node *into, unsigned depth)
{
	if (source->kind == N_MAP)
		return gather(r, source, into, depth + 1);
	if (source->kind != N_LIST)
		return fail_at(r, VINE_EINVAL, source, "\"<<\" needs a map or a list of maps");
	for (size_t i = 0; i < source->len; i++) {
		if (source->items[i]->kind != N_MAP)
			return fail_at(r, VINE_EINVAL, source->items[i], "\"<<\" needs a map or a list of maps");

		int res = gather(r, source->items[i], into, depth + 1);

		if (res < 0)
			return res;
	}
	return VINE_OK;
}

static int gather(struct reader *r, const struct node *map, struct node *into, unsigned depth)
{
	if (depth > YAML_DEPTH_MAX)
		return fail_at(r, VINE_ELIMIT, map, "nested too deep");
	for (size_t i = 0; i < map->len; i += 2) {
		bool known = map->items[i]->merge;

		for (size_t k = 0; k < into->len && !known; k += 2)
			known = same_key(map->items[i], into->items[k]);
		r->visits += 1 + into->len / 16; /* the search is part of the work that is bounded */
		if (r->visits > YAML_VISITS_MAX)
			return fail_at(r, VINE_ELIMIT, map, "aliases multiply to too many values");
		if (!known) {
			append(r, into, map->items[i]);
			append(r, into, map->items[i + 1]);
		}
	}
	for (size_t i = 0; i < map->len; i += 2) {
		int res = map->items[i]->merge ? gather_source(r, map->items[i + 1], into, depth) : VINE_OK;

		if (res < 0)
			return res;
	}
	return VINE_OK;
}

static int flatten_map(struct reader *r, const struct node *map, unsigned depth)
{
	struct node whole = { .kind = N_MAP, .line = map->line, .col = map->col };

	for (size_t i = 0; i < map->len; i += 2) {
		if (map->items[i]->merge) {
			int res = gather(r, map, &whole, depth);

			if (res < 0)
				return res;
			map = &whole;
			break;
		}
	}
	for (size_t i = 0; i < map->len; i += 2) {
		int res = flatten_member(r, map->items[i], map->items[i + 1], depth);

		if (res < 0)
			return res;
	}
	return VINE_OK;
}

static int flatten(struct reader *r, const struct node *n, unsigned depth)
{
	if (++r->visits > YAML_VISITS_MAX)
		return fail_at(r, VINE_ELIMIT, n, "aliases multiply to too many values");
	if (depth > YAML_DEPTH_MAX)
		return fail_at(r, VINE_ELIMIT, n, "nested too deep");
	if (n->kind == N_SCALAR)
		return emit(r, n, n->text);
	if (n->kind == N_MAP)
		return flatten_map(r, n, depth);
	for (size_t i = 0; i < n->len; i++) {
		size_t before = r->path.len;
		int res;

		buf_addf(&r->path, "[%zu]", i);
		res = descend(r, n->items[i], depth, before);
		if (res < 0)
			return res;
	}
	return n->len ? VINE_OK : emit(r, n, STR_EMPTY);
}

static int on_document_end(struct reader *r)
{
	struct node *root = r->root;
	int res;

	r->root = NULL;
	map_fini(&r->anchors); /* names hold within a document */
	map_init(&r->anchors, (uintptr_t)r); /* the address: no file can know it */
	if (!root || (root->kind == N_SCALAR && root->text.len == 0))
		return VINE_OK; /* an empty document is not counted */
	if (root->kind != N_MAP)
		buf_adds(&r->path, STR("document"));
	res = flatten(r, root, 0);
	buf_clear(&r->path);
	r->flat->docs++;
	return res;
}

static int on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(r, ev, N_LIST);
	case YAML_MAPPING_START_EVENT:
		return on_start(r, ev, N_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(r);
	case YAML_ALIAS_EVENT:
		return on_alias(r, ev);
	case YAML_DOCUMENT_END_EVENT:
		return on_document_end(r);
	default:
		return VINE_OK;
	}
}

static int parser_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "not valid YAML";

	if (p->error == YAML_MEMORY_ERROR)
		abort(); /* as xmalloc */
	if (p->error == YAML_READER_ERROR) /* no mark: the bytes are no text */
		return err_set(r->e, VINE_EINVAL, "%zu:%zu: %s", p->mark.line + 1, p->mark.column + 1, problem);
	return err_set(r->e, VINE_EINVAL, "%zu:%zu: %s%s%s", p->problem_mark.line + 1, p->problem_mark.column + 1, problem,
		       p->context ? ", " : "", p->context ? p->context : "");
}

static int read_events(struct reader *r)
{
	for (;;) {
		yaml_event_t ev;
		yaml_event_type_t type;
		int res;

		if (!yaml_parser_parse(&r->parser, &ev))
			return parser_error(r);
		type = ev.type;
		res = on_event(r, &ev);
		yaml_event_delete(&ev);
		if (res < 0 || type == YAML_STREAM_END_EVENT)
			return res;
	}
}

int yaml_read(struct flat *f, struct str text, struct err *e)
{
	struct reader r = { .flat = f, .arena = f->arena, .path = BUF_INIT(YAML_KEY_MAX), .e = e };
	int res;

	if (text.len > FLAT_TEXT_MAX)
		return err_set(e, VINE_ELIMIT, "1:1: longer than %zu bytes", FLAT_TEXT_MAX);
	if (!yaml_parser_initialize(&r.parser))
		abort();
	map_init(&r.anchors, (uintptr_t)&r);
	yaml_parser_set_input_string(&r.parser, text.len ? (const unsigned char *)text.ptr : (const unsigned char *)"",
				     text.len);
	res = read_events(&r);
	yaml_parser_delete(&r.parser);
	map_fini(&r.anchors);
	buf_fini(&r.path);
	return res;
}
