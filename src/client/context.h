/* context.h - what belongs to the work that a thread does, and goes with it to other threads by itself: the trace, the
 * deadline, the cancel token, the request whose results are shared, and values that the user declared.
 *
 * HystrixRequestContext and what wrapCallable is used for there. A context is immutable once entered; a change makes a
 * copy. Whoever hands work to another thread takes a reference to the current one and enters it there; the previous one
 * comes back afterwards, so that a pool's thread keeps nothing.
 *
 * A handler's thread begins without one: what it calls on behalf of its request says so itself. The function of a command
 * has one.
 *
 * The current context is the thread's own: the one variable of libvine that is not reached from an app, because work of
 * the user's that calls libvine again has no other way to say on whose behalf. */
#pragma once
#include "client/cancel.h"
#include "flow/deadline.h"
#include "flow/request.h"
#include "trace/context.h"

#define CONTEXT_VALUES_MAX 16

/* Declares a kind of value; its address is the key. Values are counted: a context takes a reference for as long as it has
 * one. Both functions may run on any thread. */
struct context_key {
	const char *name;
	void *(*ref)(void *value);
	void (*unref)(void *value);
};

struct context_value {
	const struct context_key *key;
	void *value;
};

struct context {
	_Atomic uint32_t refs;
	bool has_trace;
	struct trace_context trace;
	struct deadline deadline;
	struct cancel *cancel;        /* NULL: none */
	struct flow_request *request; /* NULL: none */
	struct context_value value[CONTEXT_VALUES_MAX];
	unsigned n_values;
};

const struct context *context_now(void); /* of this thread; NULL: none. Borrowed until the next enter or leave */

struct context *context_copy(const struct context *from); /* NULL: an empty one. To be filled in before it is entered */
struct context *context_ref(struct context *c);           /* NULL is fine */
void context_unref(struct context *c);                    /* NULL is fine */

/* Makes c (NULL: none) the thread's context; takes your reference. Give the result to context_leave. */
struct context *context_enter(struct context *c);
void context_leave(struct context *previous);

/* Of this thread's context, until it is left; makes one if there is none, which then lasts as long as the thread's work.
 * NULL takes the value out. false: too many kinds of values. */
bool context_set(const struct context_key *key, void *value);
void *context_get(const struct context_key *key); /* borrowed; NULL: not set */
