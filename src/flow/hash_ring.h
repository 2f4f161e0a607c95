/* hash_ring.h - from a key's hash to a server, so that the same key meets the same server: ring hash and Maglev.
 *
 * Ring     each server has points on a circle by its weight; a key goes to the next point. One server more or less moves about
 *          1/n of the keys.
 * Maglev   a table of prime size that the servers fill by turns, each in an order of its own: flatter, one look, a little
 *          more movement.
 *
 * Both depend on the servers' ids and weights alone, so that all gateways with the same list agree. Who is out is the
 * chooser's business: it goes on along the ring or table (hash_ring_walk). Immutable, counted; made when a list changes. */
#pragma once
#include "flow/server.h"

struct hash_ring;

struct hash_ring_settings {
	bool maglev;
	uint32_t size; /* ring: points at least, all together; Maglev: slots, raised to the next prime */
};

#define HASH_RING_SIZE 1024
#define HASH_RING_MAX 8388608u
#define MAGLEV_SIZE 65537
#define MAGLEV_MAX 5000011u

struct hash_ring *hash_ring_new(struct fserver *const *at, uint32_t n, const struct hash_ring_settings *s);
struct hash_ring *hash_ring_ref(const struct hash_ring *r);
void hash_ring_unref(struct hash_ring *r); /* NULL is fine */
/* Was it made of this very list, in its order, with these weights and settings? */
bool hash_ring_is_of(const struct hash_ring *r, struct fserver *const *at, uint32_t n,
		     const struct hash_ring_settings *s);
uint32_t hash_ring_points(const struct hash_ring *r);

/* The server for that hash, as an index into the list; then, as long as *step is passed in again, the next ones round
 * the ring, with repetitions. *step begins at 0. */
uint32_t hash_ring_walk(const struct hash_ring *r, uint64_t hash, uint32_t *step);

uint64_t hash_ring_key(struct str key); /* the same in every process */

static inline uint64_t hash_mix(uint64_t x) /* the end of splitmix64: every bit of x moves every bit */
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}
