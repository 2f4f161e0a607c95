/* outbox.c - see outbox.h. */
#include "net/outbox.h"

#include "net/conn.h"

static void send_at_end_of_turn(struct deferred *d)
{
	struct outbox *o = container_of(d, struct outbox, later);

	o->queued = false;
	outbox_send(o);
}

void outbox_init(struct outbox *o, struct loop *loop)
{
	*o = (struct outbox){ .loop = loop };
}

void outbox_fini(struct outbox *o)
{
	free(o->bytes);
}

void outbox_send(struct outbox *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		if (o->entry[i].c)
			conn_flush(o->entry[i].c);
	}
	o->n = o->used = 0;
}

struct iovec outbox_take(struct outbox *o, struct conn *c)
{
	struct iovec iov = { NULL, 0 };

	if (c->outbox) {
		unsigned i = c->outbox - 1u;

		assert(o->entry[i].c == c);
		iov = (struct iovec){ o->bytes + o->entry[i].at, o->entry[i].len };
		o->entry[i].c = NULL;
		c->outbox = 0;
	}
	return iov;
}

/* Is there room for so many bytes behind what the conn has here? Only the last entry can grow. */
static bool has_room(const struct outbox *o, const struct conn *c, size_t total)
{
	if (OUTBOX_BYTES - o->used < total)
		return false;
	return c->outbox ? c->outbox == o->n : o->n < OUTBOX_ENTRIES;
}

void outbox_add(struct outbox *o, struct conn *c, const struct iovec *iov, int n, size_t total)
{
	if (!has_room(o, c, total)) {
		outbox_send(o);
		if (c->out) { /* the kernel did not take all that the conn had here: this goes behind it */
			conn_writev(c, iov, n);
			return;
		}
	}
	if (!o->bytes)
		o->bytes = xmalloc(OUTBOX_BYTES);
	if (!c->outbox) {
		o->entry[o->n].c = c;
		o->entry[o->n].at = o->used;
		o->entry[o->n].len = 0;
		c->outbox = (uint16_t)++o->n;
	}
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(o->bytes + o->used, iov[i].iov_base, iov[i].iov_len);
		o->used += (uint32_t)iov[i].iov_len;
	}
	o->entry[c->outbox - 1].len += (uint32_t)total;
	if (!o->queued) {
		o->queued = true;
		loop_defer(o->loop, &o->later, send_at_end_of_turn);
	}
}
