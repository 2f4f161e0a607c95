/* log.c - the sink, the tree of levels, and the two line formats.
 *
 * Threads   A mutex (leaf) guards the list of names; a logger's own level is an atomic that it reads without a lock. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define VALUE_MAX 1024
#define CELLS_MAX 256

struct log_cell {
	char name[64];
	enum log_level configured; /* under the lock */
	_Atomic int effective;
};

struct log {
	int fd;
	_Atomic int format;
	_Atomic uint64_t lines[LOG_OFF];
	pthread_mutex_t lock; /* guards cells[], n and their configured levels */
	struct log_cell *cells[CELLS_MAX]; /* sorted by name; [0] is ROOT, named "" */
	size_t n;
};

static const char *const level_names[] = { "trace", "debug", "info", "warn", "error", "off" };

const char *log_level_name(enum log_level level)
{
	return (size_t)level < ARRAY_LEN(level_names) ? level_names[level] : "inherit";
}

bool log_level_parse(struct str s, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (str_eq_nocase(s, str_from(level_names[i]))) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool is_below(const char *name, const char *above)
{
	size_t n = strlen(above);

	return n == 0 || (strncmp(name, above, n) == 0 && (name[n] == '\0' || name[n] == '.'));
}

/* The names are sorted, so a nearer ancestor comes later than a farther one. Caller holds the lock. */
static void refresh_levels(struct log *l)
{
	for (size_t i = 0; i < l->n; i++) {
		enum log_level level = LOG_INFO;

		for (size_t j = 0; j <= i; j++) {
			if (l->cells[j]->configured != LOG_INHERIT && is_below(l->cells[i]->name, l->cells[j]->name))
				level = l->cells[j]->configured;
		}
		atomic_store_explicit(&l->cells[i]->effective, (int)level, memory_order_relaxed);
	}
}

/* Finds or makes the cell of a name; the last one made serves for all names past the maximum. Caller holds the lock. */
static struct log_cell *cell_of(struct log *l, struct str name)
{
	size_t at = 0;

	for (; at < l->n; at++) {
		int c = str_cmp(str_from(l->cells[at]->name), name);

		if (c == 0)
			return l->cells[at];
		if (c > 0)
			break;
	}
	if (l->n == CELLS_MAX)
		return l->cells[0];

	struct log_cell *c = xzalloc(sizeof(*c));

	memcpy(c->name, name.ptr, MIN(name.len, sizeof(c->name) - 1));
	c->configured = LOG_INHERIT;
	memmove(&l->cells[at + 1], &l->cells[at], (l->n - at) * sizeof(l->cells[0]));
	l->cells[at] = c;
	l->n++;
	refresh_levels(l);
	return c;
}

struct log *log_new(int fd, enum log_format format)
{
	struct log *l = xzalloc(sizeof(*l));

	l->fd = fd;
	l->format = format;
	pthread_mutex_init(&l->lock, NULL);
	cell_of(l, STR(""))->configured = LOG_INFO;
	refresh_levels(l);
	return l;
}

void log_free(struct log *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		free(l->cells[i]);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void log_set_format(struct log *l, enum log_format format)
{
	atomic_store_explicit(&l->format, (int)format, memory_order_relaxed);
}

struct logger logger_of(struct log *l, const char *component, const char *shown)
{
	struct logger lg = { .log = l };

	snprintf(lg.name, sizeof(lg.name), "%s", shown);
	pthread_mutex_lock(&l->lock);
	lg.cell = cell_of(l, str_slice(str_from(component), 0, 63));
	pthread_mutex_unlock(&l->lock);
	return lg;
}

bool logger_enabled(const struct logger *lg, enum log_level level)
{
	return lg->cell && (int)level >= atomic_load_explicit(&lg->cell->effective, memory_order_relaxed);
}

bool log_set_level(struct log *l, struct str component, enum log_level level)
{
	if (str_eq_nocase(component, STR("ROOT")))
		component = STR_EMPTY;
	if (component.len > 63)
		return false;
	if (component.len == 0 && level == LOG_INHERIT)
		level = LOG_INFO;
	pthread_mutex_lock(&l->lock);
	cell_of(l, component)->configured = level;
	refresh_levels(l);
	pthread_mutex_unlock(&l->lock);
	return true;
}

bool log_level_at(struct log *l, size_t i, char name[64], enum log_level *configured, enum log_level *effective)
{
	pthread_mutex_lock(&l->lock);

	bool there = i < l->n;

	if (there) {
		const struct log_cell *c = l->cells[i];

		snprintf(name, 64, "%s", c->name[0] ? c->name : "ROOT");
		*configured = c->configured;
		*effective = (enum log_level)atomic_load_explicit(&c->effective, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->lock);
	return there;
}

uint64_t log_lines(const struct log *l, enum log_level level)
{
	return level < LOG_OFF ? atomic_load_explicit(&l->lines[level], memory_order_relaxed) : 0;
}

static bool needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
			return true;
	}
	return s.len == 0;
}

static void put_quoted(struct buf *b, struct str s, bool cut)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_addf(b, "\\u%04x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addz(b, cut ? "...\"" : "\"");
}

static void put_value(struct buf *b, const struct log_field *f, bool json)
{
	struct str s = str_slice(f->str, 0, VALUE_MAX);

	switch (f->type) {
	case LOG_STR:
		if (json || needs_quotes(s) || s.len < f->str.len)
			put_quoted(b, s, s.len < f->str.len);
		else
			buf_adds(b, s);
		break;
	case LOG_INT:
		buf_add_i64(b, f->num);
		break;
	case LOG_HEX64:
		buf_addz(b, json ? "\"" : "");
		buf_add_hex(b, (uint64_t)f->num, 16);
		buf_addz(b, json ? "\"" : "");
		break;
	case LOG_BOOL:
		buf_addz(b, f->num ? "true" : "false");
		break;
	}
}

static void put_head(struct buf *b, const struct logger *lg, enum log_level level, struct str msg, bool json)
{
	char at[WALL_TEXT_MAX];

	clock_wall_text(at, clock_wall());
	if (json) {
		buf_addf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"logger\":\"%s\",\"msg\":", at, log_level_name(level), lg->name);
		put_quoted(b, msg, false);
	} else {
		buf_addf(b, "%s %s %s ", at, log_level_name(level), lg->name);
		if (needs_quotes(msg))
			put_quoted(b, msg, false);
		else
			buf_adds(b, msg);
	}
}

void log_write(const struct logger *lg, enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
	char room[LINE_MAX_BYTES];
	struct buf b = { .ptr = room, .cap = sizeof(room) - 2, .max = sizeof(room) - 2 }; /* never grows: max = cap */
	bool json = atomic_load_explicit(&lg->log->format, memory_order_relaxed) == LOG_JSON;

	put_head(&b, lg, level, str_slice(str_from(msg), 0, VALUE_MAX), json);
	for (const struct log_field *f = fields; f < fields + n; f++) {
		size_t before = b.len;

		buf_addf(&b, json ? ",\"%s\":" : " %s=", f->key);
		put_value(&b, f, json);
		if (b.failed) { /* a line that is full keeps the fields that fitted */
			b.len = before;
			break;
		}
	}
	if (json)
		room[b.len++] = '}';
	room[b.len++] = '\n';
	if (level < LOG_OFF)
		atomic_fetch_add_explicit(&lg->log->lines[level], 1, memory_order_relaxed);
	while (write(lg->log->fd, room, b.len) < 0 && errno == EINTR)
		;
}
