/* listener.c - binding, and accepting a bounded number of connections an event. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_AN_EVENT 64
#define REST (100 * USEC_PER_MSEC)
#define TELL_AGAIN (60 * USEC_PER_SEC)

static int bind_socket(const struct addr *a, bool reuseport, struct err *e)
{
	char text[ADDR_TEXT_MAX];
	int one = 1, fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr_text(a, text);
	if (fd < 0)
		return err_errno(e, "cannot listen on %s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, &a->sa, addr_len(a)) < 0) {
		int r = err_errno(e, "cannot listen on %s", text);

		close(fd);
		return r;
	}
	return fd;
}

static void read_local(int fd, struct addr *a)
{
	socklen_t n = sizeof(*a);

	getsockname(fd, &a->sa, &n);
}

int net_listen(const struct addr *a, bool reuseport, struct err *e)
{
	int fd = bind_socket(a, reuseport, e);

	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG) < 0) {
		char text[ADDR_TEXT_MAX];

		addr_text(a, text);

		int r = err_errno(e, "cannot listen on %s", text);

		close(fd);
		return r;
	}
	return fd;
}

int net_bind_check(const struct addr *a, struct addr *real, struct err *e)
{
	int fd = net_listen(a, false, e); /* listening too: SO_REUSEADDR lets two sockets bind, but only one listen */

	if (fd < 0)
		return fd;
	*real = *a;
	read_local(fd, real);
	close(fd);
	return 0;
}

/* --- out of descriptors --- */

static void tell(struct listener *ln, bool starved)
{
	usec now = loop_now(ln->loop);

	if (starved == ln->told || (starved && ln->told_at && now - ln->told_at < TELL_AGAIN))
		return;
	ln->told = starved;
	ln->told_at = now;
	if (ln->on_starved)
		ln->on_starved(ln, starved);
}

/* Gives up the spare descriptor, accepts with it, closes at once. false: nobody waits, or not even that could be done. */
static bool refuse_one(struct listener *ln)
{
	if (ln->spare_fd >= 0)
		close(ln->spare_fd);

	int fd = accept4(ln->io.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		__atomic_store_n(&ln->refused, ln->refused + 1, __ATOMIC_RELAXED);
	}
	ln->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && ln->spare_fd >= 0;
}

static void rest(struct listener *ln)
{
	ln->starved = true;
	tell(ln, true);
	loop_mod(ln->loop, &ln->io, 0);
	timer_set(ln->loop, &ln->rest, loop_now(ln->loop) + REST);
}

static void on_rested(struct timer *t)
{
	struct listener *ln = container_of(t, struct listener, rest);

	if (ln->spare_fd < 0)
		ln->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	loop_mod(ln->loop, &ln->io, EPOLLIN);
}

/* The first time those who wait may go on waiting; the next time it is clear that this does not end by itself. */
static void run_out(struct listener *ln)
{
	for (int i = 0; ln->starved && i < ACCEPTS_AN_EVENT && refuse_one(ln); i++)
		;
	rest(ln);
}

static void found_one(struct listener *ln)
{
	ln->starved = false;
	tell(ln, false);
}

/* --- accepting --- */

static void on_acceptable(struct io *io, uint32_t events)
{
	struct listener *ln = container_of(io, struct listener, io);
	int one = 1;

	(void)events;
	for (int i = 0; i < ACCEPTS_AN_EVENT; i++) {
		struct addr peer = { 0 };
		socklen_t n = sizeof(peer);
		int fd = accept4(io->fd, &peer.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				run_out(ln);
			return;
		}
		if (unlikely(ln->starved))
			found_one(ln);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		ln->accepted++;
		ln->on_accept(ln, fd, &peer);
	}
}

int listener_open(struct listener *ln, struct loop *loop, const struct addr *a, bool reuseport, struct err *e)
{
	int fd = net_listen(a, reuseport, e);

	if (fd < 0)
		return fd;
	ln->io = (struct io){ .fd = fd, .fn = on_acceptable };
	ln->loop = loop;
	ln->local = *a;
	timer_init(&ln->rest, on_rested);
	ln->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	read_local(fd, &ln->local);
	return loop_add(loop, &ln->io, EPOLLIN);
}

void listener_accept_waiting(struct listener *ln)
{
	uint64_t before;

	do {
		before = ln->accepted;
		on_acceptable(&ln->io, EPOLLIN);
	} while (ln->accepted - before == ACCEPTS_AN_EVENT);
}

void listener_close(struct listener *ln)
{
	if (!ln->loop)
		return;
	loop_del(ln->loop, &ln->io);
	timer_cancel(ln->loop, &ln->rest);
	close(ln->io.fd);
	if (ln->spare_fd >= 0)
		close(ln->spare_fd);
	*ln = (struct listener){ 0 };
}
