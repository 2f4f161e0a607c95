/* servers.h - a service's servers as one picture has them, and the draft that becomes one.
 *
 * A set is immutable and counted; any thread with a reference may read it. A draft is filled by a list (configuration,
 * registry, the user's), each server once, and then made into servers: known ones are taken over with all that is known of
 * them. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "flow/balance.h"
#include "flow/hash_ring.h"

struct instance;

enum server_origin { FROM_CONFIG, FROM_REGISTRY, FROM_USER, SERVER_ORIGINS };

struct server_set {
	_Atomic uint32_t refs;
	uint32_t n;
	uint32_t before;     /* how many there were before the filter */
	uint32_t max_weight; /* 0: all weigh the same */
	enum server_origin origin;
	usec made;               /* when the list was last asked */
	const char *filter_note; /* what the filter did; static */
	struct hash_ring *ring;  /* NULL: the rule hashes nothing */
	struct fserver **at;
	struct instance **inst; /* of each; NULL: not from the registry */
};

struct server_set *server_set_new(uint32_t n); /* with room for n; n is 0 */
struct server_set *server_set_ref(struct server_set *s);
void server_set_unref(struct server_set *s);                    /* NULL is fine */
struct server_list server_set_list(const struct server_set *s); /* borrowed */
const char *server_origin_name(enum server_origin o);

struct server_draft {
	struct str id, zone;
	uint32_t weight;
	bool secure;
	struct instance *inst; /* borrowed */
};

struct server_drafts {
	struct arena *arena;
	struct map seen;
	struct server_draft *at;
	uint32_t n, cap;
	bool secure; /* what comes next without a scheme is spoken to by TLS */
};

void drafts_init(struct server_drafts *d, struct arena *a);
void drafts_fini(struct server_drafts *d);
/* where: "host:port", "host", "http://host:port", "https://..."; without a port 80 or 443 is meant. A second one of the same place is passed
 * over. VINE_EINVAL: malformed; VINE_ELIMIT: too many. */
int drafts_add(struct server_drafts *d, struct str where, struct str zone, uint32_t weight, struct instance *inst);
