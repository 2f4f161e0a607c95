/* siblings.h - Hystrix' streams of a process: the dashboard's, that of the configuration in force, that of the use of pools. The
 * gateway and libvine's services serve the same ones.
 *
 * The second and third are one object with all keys, in the fields and order of Hystrix 1.5.18's own serializers (its
 * "bucket sizes" are whole windows); tests/data holds what the jar writes. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"

struct circuits;
struct props;

enum hystrix_stream {
	STREAM_DASHBOARD,   /* /hystrix.stream */
	STREAM_CONFIG,      /* /hystrix/config.stream */
	STREAM_UTILIZATION, /* /hystrix/utilization.stream */
	HYSTRIX_STREAMS
};

usec hystrix_stream_interval(enum hystrix_stream s, const struct props *p);
void hystrix_stream_write(enum hystrix_stream s, const struct circuits *c, struct buf *b); /* the events of now, framed */

void siblings_config(const struct circuits *c, struct buf *b); /* the JSON alone */
void siblings_utilization(const struct circuits *c, struct buf *b);
