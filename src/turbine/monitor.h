/* monitor.h - reads the stream of one instance into a cluster's merge, for as long as it lives.
 *
 *   WAITING --(pause over)--> CONNECTING --(200)--> READING --(fails, ends, is silent for 10 s)--> WAITING ...
 *
 * Pauses grow from 1 s to 30 s, with jitter, and begin small again after a connection that held for 10 s; an instance
 * that answers but has no stream is asked once a minute. Owner: the loop of the http_client. */
#pragma once
#include "base/log.h"
#include "base/rng.h"
#include "codec/sse.h"
#include "http/client.h"
#include "turbine/cluster.h"
#include "turbine/merge.h"

#define MONITOR_SILENCE (10 * USEC_PER_SEC) /* connecting, and between two pieces: pings come every half second */
#define MONITOR_BUDGET (4u << 20)           /* bytes that one instance may send from tick to tick */

/* What the monitors of a cluster share. */
struct monitor_env {
	struct http_client *http;
	struct tls *tls; /* for instances that speak TLS alone */
	const struct logger *log;
	struct rng *rng;
	struct merge *merge;
	struct str cluster;
	size_t budget; /* bytes that all instances may still send until the next tick */
	uint64_t seed;
};

enum monitor_state { MONITOR_WAITING, MONITOR_CONNECTING, MONITOR_READING };

struct monitor {
	struct monitor_env *env;
	enum monitor_state state;
	struct str id, host; /* on the heap */
	uint16_t port;
	struct buf head; /* the request */
	struct http_peer *peer;
	struct call call;
	struct timer retry;
	struct sse sse;
	struct merge_host told;
	size_t budget;
	unsigned failures; /* in a row */
	bool is_paused;
	bool is_known_lost; /* it was said in the log */
	bool is_seen;       /* by who compares with a new list of members */
	usec since;         /* of this state */
	usec heard;         /* the last event; 0: none yet */
	uint64_t bytes;
	char why[128]; /* it is not being read; empty: nothing went wrong yet */
};

struct monitor *monitor_new(struct monitor_env *env, const struct member *m, struct str path); /* connects at once */
void monitor_free(struct monitor *m);
void monitor_tick(struct monitor *m);                  /* the next share of bytes */
const char *monitor_state_name(enum monitor_state st); /* "reading" */
