/* breaker.h - whether a command may be called now.
 *
 * CLOSED lets calls pass; OPEN refuses until the sleep window ends; HALF_OPEN hands out a few permits for trials. See
 * breaker.c for the invariants. Any thread; `breaker_admit` is one atomic load while CLOSED. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "flow/settings.h"
#include "flow/stats.h"

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN,
};

enum breaker_why {
	BREAKER_NEW,          /* never left CLOSED */
	BREAKER_ERRORS,       /* error percentage at the threshold */
	BREAKER_SLOW,         /* share of slow calls at the threshold */
	BREAKER_SLEPT,        /* sleep window over: trying */
	BREAKER_TRIAL_FAILED,
	BREAKER_TRIAL_LOST,   /* its lease ended without a result */
	BREAKER_RECOVERED,    /* the trials succeeded */
	BREAKER_BY_HAND,      /* somebody asked for it */
};

enum breaker_force { /* by hand, while the process runs; the properties forceOpen and forceClosed are apart and win */
	BREAKER_AUTO,
	BREAKER_FORCE_OPEN,
	BREAKER_FORCE_CLOSED,
};

/* One change of state, for who asks later. */
struct breaker_turn {
	usec at;
	uint8_t from, to, why; /* enum breaker_state, breaker_why */
	struct stats_health health; /* that it was decided on; zero where none was looked at */
};

#define BREAKER_TURNS 16

enum breaker_trial { /* how a trial ended */
	TRIAL_OK,
	TRIAL_SLOW,     /* succeeded, but took too long */
	TRIAL_FAILED,
	TRIAL_RETURNED, /* nothing was learned: cancelled, bad request, refused further on */
};

struct breaker {
	_Atomic uint64_t word; /* state 2 bits, permits 14 bits, generation 48 bits */
	_Atomic usec until;    /* OPEN: the sleep window's end; HALF_OPEN: the last permit's lease ends */
	pthread_mutex_t lock;  /* transitions, and all below */
	uint32_t trials, ok, slow, failed;
	uint32_t reopened;     /* failed trials in a row */
	usec since;            /* of this state */
	usec opened_at;        /* when it last left CLOSED */
	enum breaker_why why;
	struct stats_health at_trip;
	_Atomic uint8_t force; /* enum breaker_force; written under the lock */
	struct breaker_turn *turns; /* a ring of BREAKER_TURNS; NULL until the first change of state */
	uint32_t n_turns;           /* that ever were */
};

struct breaker_view {
	enum breaker_state state;
	enum breaker_why why;
	enum breaker_force force;
	uint64_t generation;
	uint32_t permits, trials;
	usec since, until;
	struct stats_health at_trip;
};

void breaker_init(struct breaker *b, usec now);
void breaker_fini(struct breaker *b);

static inline enum breaker_state breaker_word_state(uint64_t word)
{
	return (enum breaker_state)(word & 3);
}

static inline uint32_t breaker_word_permits(uint64_t word)
{
	return (uint32_t)(word >> 2 & 0x3fff);
}

static inline uint64_t breaker_word_generation(uint64_t word)
{
	return word >> 16;
}

bool breaker_admit_slow(struct breaker *b, const struct cmd_settings *cs, usec now, uint64_t *generation, bool *trial);

/* May a call pass? Its generation and whether it is a trial belong on its ticket; a trial must be given back with
 * breaker_trial_end, and if it never is, its lease ends by time. */
static inline bool breaker_admit(struct breaker *b, const struct cmd_settings *cs, usec now, uint64_t *generation,
				 bool *trial)
{
	uint64_t word = atomic_load_explicit(&b->word, memory_order_acquire);

	if (likely(breaker_word_state(word) == BREAKER_CLOSED && !cs->force_open)) {
		*generation = breaker_word_generation(word);
		*trial = false;
		return true;
	}
	return breaker_admit_slow(b, cs, now, generation, trial);
}

/* True if this closed the circuit. A result of another generation changes nothing. */
bool breaker_trial_end(struct breaker *b, const struct cmd_settings *cs, uint64_t generation, enum breaker_trial how,
		       usec now);

/* Opens if `health` of generation `generation` says so; true if it did. */
bool breaker_judge(struct breaker *b, const struct cmd_settings *cs, uint64_t generation,
		   const struct stats_health *health, usec now);

void breaker_view(struct breaker *b, struct breaker_view *ret);
/* Open or closed by hand, until it is told otherwise: no result and no sleep window moves it then. Costs admission
 * nothing: a circuit that is forced open is one whose sleep window never ends. AUTO: what was open lets a trial
 * through next. */
void breaker_set_force(struct breaker *b, enum breaker_force force, usec now);
size_t breaker_bytes(struct breaker *b); /* beside the struct itself */
/* The last changes of state, newest first; returns how many were written. */
unsigned breaker_turns(struct breaker *b, struct breaker_turn ret[BREAKER_TURNS]);
/* What streams call isCircuitBreakerOpen: forced flags first, then any state but CLOSED. */
bool breaker_is_open(const struct breaker *b, const struct cmd_settings *cs);

const char *breaker_state_name(enum breaker_state st); /* "CLOSED", ... */
const char *breaker_why_text(enum breaker_why why);
const char *breaker_force_name(enum breaker_force force); /* "auto", "open", "closed" */
