/* util.h - the handful of macros that the whole tree uses. */
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(p, type, member) ((type *)(void *)((char *)(p) - offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _cold_ __attribute__((cold, noinline)) /* keeps refusals out of the way of what is common */

/* Ownership moves out of p, which is NULL afterwards. */
#define TAKE(p)                                                                                                        \
	({                                                                                                             \
		__typeof__(p) taken_ = (p);                                                                            \
		(p) = NULL;                                                                                            \
		taken_;                                                                                                \
	})

/* Small allocations of fixed size abort when they fail; a size that a peer can choose meets a limit first. */
void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xzalloc(size_t n) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));

/* Another number whenever the file there was changed, replaced, made or taken away. */
uint64_t file_stamp(const char *path);

/* For locals that die with their scope: _cleanup_(freep) char *p = NULL. */
static inline void freep(void *p)
{
	free(*(void **)p);
}
