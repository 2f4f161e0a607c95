/* control.h - the control thread of a process; between control.c, host.c and config.c only. Roles see host.h. */
#pragma once
#include "manage/config.h"
#include "manage/host.h"
#include "manage/settings.h"
#include "props/load.h"

enum control_phase { PHASE_START, PHASE_RUN, PHASE_DRAIN };

/* The configuration that is in force, and what became of attempts to change it. */
struct reload {
	uint64_t accepted, refused; /* since the start, without the first load */
	msec last;                  /* wall clock of the last attempt; 0: none */
	bool bad;                   /* the last attempt was refused */
	char error[ERR_TEXT_MAX];   /* why */
	uint64_t stamp;             /* of the files as they were read */
};

struct control {
	const struct host_opts *opts;
	struct loop *loop;
	struct mailbox mailbox;
	struct rng rng;
	struct log *logs;
	struct logger log;
	struct props *props;
	struct reload reload;
	struct load_files files; /* that made props */
	struct jobs_lane *dns_lane;
	struct dns *dns;
	struct http_client *client;
	struct identities *tls;
	struct io signals;
	struct timer watch;
	enum control_phase phase;
	int exit_code;
	bool forced; /* a second signal: do not wait for requests */
	usec drain_began;
	size_t n_hosts, n_started;
	struct host *hosts;
};

/* --- host.c --- */

void host_init(struct host *h, struct control *c, const struct role_ops *ops);
int host_start(struct host *h, struct err *e); /* turns the control loop until every worker listens */
void host_begin_drain(struct host *h);         /* ends in control_host_drained */
void host_force(struct host *h);               /* do not wait any longer */
void host_stop(struct host *h);                /* joins the workers; also half-started ones */
void host_fini(struct host *h);
/* Each worker takes p between two turns. */
void host_swap_props(struct host *h, struct props *p);

/* --- control.c --- */

void control_host_drained(struct control *c, struct host *h);
void control_drain(struct control *c, int exit_code); /* a second call forces */
