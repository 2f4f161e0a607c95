/* server.h - what is known about one upstream server: load, latency, failures, whether it is ejected.
 *
 * A counted object that outlives the pictures (server lists) it appears in, shared by all threads: every verb is a few
 * relaxed atomics. Each attempt is credited to the server it went to (server_begin, then server_end exactly once).
 *
 * Ejection is passive and by time. A refused connection ejects at once (hard: nobody is listening); a run of failed
 * replies, resets or timeouts ejects at a threshold (soft: the balancer may bring it back when too many are out), and so
 * does being much worse than the others (flow/outlier.h). Each further ejection lasts longer, up to a maximum. When it ends,
 * one request is let through as a probe (server_try_probe); a bad one ejects it again, a good one, or so many as `probes`
 * says, brings it back; a lost probe is replaced when its lease ends.
 *
 * Pings are another matter: a server that a ping calls dead is out until a ping calls it alive (server_set_alive). */
#pragma once
#include <stdatomic.h>

#include "base/clock.h"
#include "base/str.h"

struct outlier_settings {
	bool enabled;         /* false: failures are counted, nobody is ejected */
	uint32_t consecutive; /* failures in a row that eject; 0: never */
	uint32_t refused;     /* connections in a row that failed; 0: never */
	msec base_ms, max_ms; /* length: base x times ejected, at most max */
	uint32_t probes;      /* good ones, one after the other, that bring a server back */
	uint32_t
		max_ejected_pct; /* softly ejected servers beyond this share are brought back (one is always allowed) */
	uint32_t panic_pct;      /* fewer usable than this share: soft ejections are ignored; 0: never */
	msec slow_start_ms;      /* a new or returned server's weight grows over this time; 0: off */
	float slow_start_bend;   /* 1: straight; more: fast first (Envoy's aggression) */
	usec ewma_tau;           /* how fast latency is forgotten */
	/* much worse than the others: see flow/outlier.h */
	msec judge_ms;                            /* how often the servers are compared */
	float success_deviations;                 /* so many standard deviations below the mean success rate; 0: off */
	uint32_t success_hosts, success_requests; /* fewer servers with fewer requests are not compared */
	float latency_factor;                     /* latency above so many times the median; 0: off */
};

#define OUTLIER_SETTINGS_DEFAULT                                                                                       \
	{                                                                                                              \
		.enabled = true, .consecutive = 5, .refused = 1, .probes = 1, .base_ms = 5000, .max_ms = 300000,                    \
		.max_ejected_pct = 50, .panic_pct = 50, .slow_start_bend = 1, .ewma_tau = 10 * USEC_PER_SEC,           \
		.judge_ms = 10000, .success_hosts = 5, .success_requests = 100                                         \
	}

enum server_outcome {
	SERVER_OK,        /* any reply that is not the server's own failure */
	SERVER_ERROR,     /* a 5xx reply */
	SERVER_TIMEOUT,   /* no reply in time */
	SERVER_RESET,     /* the connection died after bytes were sent */
	SERVER_REFUSED,   /* no connection: refused, unreachable, connect timed out, TLS failed */
	SERVER_ABANDONED, /* the caller went away: says nothing about the server */
	SERVER_OUTCOMES,
};

enum server_state {
	SERVER_IN,      /* usable */
	SERVER_SOFT,    /* ejected for failures */
	SERVER_HARD,    /* ejected: refuses connections, or dead by its ping */
	SERVER_PROBING, /* ejection over: one request may try, or is trying */
};

enum server_why { /* ... it went out, or came back */
		  SERVER_NEW,
		  SERVER_WHY_FAILURES, /* a run of errors, resets, time-outs */
		  SERVER_WHY_REFUSED,  /* no connection */
		  SERVER_WHY_PROBE,    /* the probe after an ejection failed too */
		  SERVER_WHY_RATE,     /* its success rate is far below the others' */
		  SERVER_WHY_LATENCY,  /* its latency is far above the others' */
		  SERVER_WHY_PING,     /* the ping called it dead */
		  SERVER_BACK_REPLY,   /* back: it replied to its probe */
		  SERVER_BACK_PING,    /* back: the ping called it alive */
		  SERVER_BACK_SHARE,   /* back: too many were out */
		  SERVER_BACK_NEWS,    /* back: it has registered anew */
		  SERVER_WHYS,
};

struct fserver {
	/* read at each choice */
	_Alignas(64) _Atomic uint32_t active;
	_Atomic uint32_t failures_in_row;
	_Atomic uint64_t ewma;  /* latency in us as a float (high half) and when, in ms (low half) */
	_Atomic usec out_until; /* 0: in; else the end of ejection or of a probe's lease */
	_Atomic uint32_t out_flags;
	_Atomic uint32_t times_out;
	_Atomic usec since;      /* first seen, or last returned: slow start */
	_Atomic uint32_t weight; /* 100 is plain */
	/* colder */
	_Alignas(64) _Atomic uint32_t refs;
	_Atomic uint64_t outcomes[SERVER_OUTCOMES];
	_Atomic uint64_t latency_sum; /* us, of replies */
	_Atomic usec last_failure;
	_Atomic uint32_t connect_failures;      /* in a row, as Ribbon counts */
	_Atomic uint32_t probes_ok;             /* since it went out */
	_Atomic uint32_t why;                   /* enum server_why: of the last change */
	_Atomic usec changed;                   /* when that was */
	_Atomic uint64_t judged_ok, judged_bad; /* outcomes at the last comparison with the others */
	struct str id, zone;                    /* "host:port"; owned, with a NUL behind them */
	bool secure;                            /* is spoken to by TLS; does not change */
	bool id_is_graphic;                     /* str_is_graphic(id), for who writes it into many log lines */
};

struct fserver *server_new(struct str id, struct str zone, uint32_t weight, usec now);
struct fserver *server_ref(struct fserver *s);
void server_unref(struct fserver *s); /* NULL is fine */

static inline void server_begin(struct fserver *s)
{
	atomic_fetch_add_explicit(&s->active, 1, memory_order_relaxed);
}

/* latency: from sending to the reply's head, or to the failure. */
void server_end(struct fserver *s, const struct outlier_settings *os, enum server_outcome outcome, usec latency,
		usec now);

enum server_state server_state(const struct fserver *s, usec now);
const char *server_state_name(enum server_state st);
const char *server_why_name(enum server_why why);
void server_eject(struct fserver *s, const struct outlier_settings *os, enum server_why why, usec now);
void server_return(struct fserver *s, enum server_why why, usec now);
/* What a ping has found out. Dead: out, and no request probes it; alive: in again, if a ping had put it out. */
void server_set_alive(struct fserver *s, bool alive, usec now);
bool server_is_dead(const struct fserver *s); /* by its ping */
bool server_is_refusing(const struct fserver *s); /* it is out since it refused connections */
/* When the ejection (or the probe's lease) ends; 0: it is in; USEC_NEVER: when a ping says so. */
usec server_out_until(const struct fserver *s);

static inline bool server_is_in(const struct fserver *s)
{
	return atomic_load_explicit(&s->out_until, memory_order_relaxed) == 0;
}

/* For a server whose ejection is over: true for the one caller that may send it a request now. */
bool server_try_probe(struct fserver *s, const struct outlier_settings *os, usec now);

/* Expected wait in us: latency so far, decayed, times requests in flight and this one, over its weight. */
float server_cost(const struct fserver *s, const struct outlier_settings *os, usec now);
float server_latency(const struct fserver *s, const struct outlier_settings *os, usec now); /* us; 0: unknown */
float server_weight(const struct fserver *s, const struct outlier_settings *os, usec now);  /* 1.0 is plain */
