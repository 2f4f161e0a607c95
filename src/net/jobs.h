/* jobs.h - work that may block, on threads of its own: a bounded lane an owner (dns, git, sql, snapshot, user).
 *
 * A job runs on one of the lane's threads and its `done` is then called on the loop of the mailbox that was given at
 * submission. A full lane refuses. */
#pragma once
#include "net/mailbox.h"

struct jobs_lane;

struct job {
	void (*run)(struct job *j);  /* on a thread of the lane */
	void (*done)(struct job *j); /* on the submitter's loop; may free j */
	struct mail mail;            /* own */
	struct mailbox *reply;
	struct job *next;
	bool cancelled; /* set by jobs_lane_free for jobs that never ran; done is called all the same */
};

struct jobs_stats {
	uint32_t threads, active, queued, queue_max;
	uint64_t completed, refused;
};

struct jobs_lane *jobs_lane_new(const char *name, unsigned threads, unsigned queue_max); /* name: at most 11 bytes */
void jobs_lane_free(struct jobs_lane *l); /* waits for running jobs */
bool jobs_submit(struct jobs_lane *l, struct job *j, struct mailbox *reply); /* false: the queue is full */
void jobs_lane_stats(struct jobs_lane *l, struct jobs_stats *ret);
