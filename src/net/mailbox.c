/* mailbox.c - see mailbox.h. The eventfd is written only when the list was empty. */
#include "net/mailbox.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void deliver(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->lock);

	struct mail *m = TAKE(mb->head);

	mb->tail = &mb->head;
	pthread_mutex_unlock(&mb->lock);
	while (m) {
		struct mail *next = m->next;

		m->fn(m);
		m = next;
	}
}

static void on_wake(struct io *io, uint32_t events)
{
	uint64_t n;

	(void)events;
	while (read(io->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	deliver(container_of(io, struct mailbox, io));
}

void mailbox_init(struct mailbox *mb, struct loop *loop)
{
	*mb = (struct mailbox){ .loop = loop, .tail = &mb->head };
	mb->io = (struct io){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_wake };
	pthread_mutex_init(&mb->lock, NULL);
	if (mb->io.fd < 0 || loop_add(loop, &mb->io, EPOLLIN) < 0)
		abort();
}

void mailbox_fini(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->lock);
	mb->closed = true;
	pthread_mutex_unlock(&mb->lock);
	deliver(mb);
	loop_del(mb->loop, &mb->io);
	close(mb->io.fd); /* the mutex stays usable: a late post must be able to read `closed` */
}

bool mailbox_post(struct mailbox *mb, struct mail *m, void (*fn)(struct mail *m))
{
	uint64_t one = 1;

	m->fn = fn;
	m->next = NULL;
	pthread_mutex_lock(&mb->lock);
	if (mb->closed) {
		pthread_mutex_unlock(&mb->lock);
		return false;
	}

	bool was_empty = mb->head == NULL;

	*mb->tail = m;
	mb->tail = &m->next;
	if (was_empty) { /* under the lock, so that fini cannot close the descriptor in between */
		ssize_t r = write(mb->io.fd, &one, sizeof(one));

		(void)r;
	}
	pthread_mutex_unlock(&mb->lock);
	return true;
}
