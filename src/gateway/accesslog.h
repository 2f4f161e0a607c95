/* accesslog.h - one line a request, gathered per worker and written in batches.
 *
 *   2026-03-01T10:15:04.123Z access gw/0 method=GET path=/product/7 status=200 ms=1.204 service=product
 *       upstream=127.0.0.1:9001 tries=1 in=0 out=512 peer=127.0.0.1:40112 trace=80f198ee56343ba8
 *
 * (one line in the file). Written when 32 KiB have gathered and at least once a second. The file is opened with O_APPEND,
 * so several workers and a rotating tool may share it; access_log_reopen follows a rename. A disk that is full loses lines,
 * counts them, and slows nobody. Owner: the worker. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "http/server.h"
#include "net/loop.h"

struct access_log {
	struct loop *loop;
	int fd; /* -1: off */
	bool owns_fd;
	struct buf out;
	struct timer timer;
	char begin[48]; /* what follows the time in each line: " access gw/0 method=" */
	unsigned begin_len;
	char path[256];
	char stamp[WALL_TEXT_MAX]; /* of stamp_at */
	msec stamp_at;
	usec wall_minus_mono; /* refreshed each second */
	usec read_at;
	uint64_t lost; /* lines */
};

struct access_line {
	struct exchange *ex;
	struct str service, upstream;
	bool service_is_graphic, upstream_is_graphic; /* known to need no quotes */
	struct str cause;       /* of an answer that the gateway made; empty: none */
	unsigned tries;
	const char *fallback;   /* "true": its answer; "missing", "rejected", "disabled": why there was none; NULL: not asked */
	const char *trace;      /* hex */
	unsigned trace_len;
	usec now;
};

/* path: a file, "stdout", or "off". */
int access_log_open(struct access_log *a, struct loop *loop, const char *name, struct str path, struct err *e);
void access_log_close(struct access_log *a); /* flushes; fine with a zeroed one */
void access_log_reopen(struct access_log *a);
void access_log_write(struct access_log *a, const struct access_line *l);
void access_log_flush(struct access_log *a);
