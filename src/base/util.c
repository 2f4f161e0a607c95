/* util.c - allocation that cannot fail: a process without memory for a small object has nothing sensible left to do. */
#include "base/util.h"

#include <sys/stat.h>

#include "base/str.h"

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		abort();
	return p;
}

void *xzalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		abort();
	return p;
}

void *xrealloc(void *old, size_t n)
{
	void *p = realloc(old, n ? n : 1);

	if (!p)
		abort();
	return p;
}

char *xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}

uint64_t file_stamp(const char *path)
{
	struct stat st = { 0 };
	bool there = stat(path, &st) == 0;
	const uint64_t seen[] = { there, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
				  (uint64_t)st.st_ino };

	return str_hash(str_of((const char *)seen, sizeof(seen)), 0);
}
