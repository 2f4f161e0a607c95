/* buf.h - bytes that grow at the end, up to a maximum given at birth.
 *
 * A writer may ignore results: once an append would pass the maximum, nothing more is appended and `failed` stays set
 * until buf_clear, so that one check at the end suffices. Pointers into a buf live until the next append. */
#pragma once
#include "base/str.h"

struct buf {
	char *ptr;
	size_t len, cap, max;
	bool failed;
};

#define BUF_INIT(maximum) ((struct buf){ .max = (maximum) })

static inline void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

static inline struct str buf_str(const struct buf *b) /* until the next append */
{
	return str_of(b->ptr, b->len);
}

void buf_fini(struct buf *b);  /* frees; fine with a zeroed buf; usable again with the same maximum */
void buf_clear(struct buf *b); /* empties, keeps the memory */

/* Room for n more bytes at ptr + len; false when the maximum forbids it. Add to len what was written. */
bool buf_reserve(struct buf *b, size_t n);

bool buf_add_slow(struct buf *b, const void *p, size_t n);
bool buf_addf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
bool buf_add_u64_long(struct buf *b, uint64_t v);
bool buf_add_i64(struct buf *b, int64_t v);
bool buf_add_hex(struct buf *b, uint64_t v, unsigned digits); /* lower case, zero-padded */
void buf_drop_front(struct buf *b, size_t n);                 /* forgets the first n bytes */
char *buf_take(struct buf *b); /* the memory, NUL-terminated, to free(); the buf is empty afterwards */

static inline bool buf_add(struct buf *b, const void *p, size_t n)
{
	if (likely(b->cap - b->len >= n && !b->failed)) {
		if (n)
			memcpy(b->ptr + b->len, p, n);
		b->len += n;
		return true;
	}
	return buf_add_slow(b, p, n);
}

static inline bool buf_adds(struct buf *b, struct str s)
{
	return buf_add(b, s.ptr, s.len);
}

static inline bool buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

static inline bool buf_addz(struct buf *b, const char *z)
{
	return buf_add(b, z, strlen(z));
}

static inline bool buf_add_u64(struct buf *b, uint64_t v) /* decimal */
{
	return v < 10 ? buf_addc(b, (char)('0' + v)) : buf_add_u64_long(b, v);
}

static inline void buf_finip(struct buf *b) /* for _cleanup_ */
{
	buf_fini(b);
}

void fmt_hex64(char out[16], uint64_t v); /* 16 digits, lower case, no NUL */
/* Decimal digits of v at out (room for 20); returns how many. */
unsigned fmt_u64(char *out, uint64_t v);
