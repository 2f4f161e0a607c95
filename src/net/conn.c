/* conn.c - see conn.h. */
#include "net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "net/addr.h"
#include "net/outbox.h"

#define OUT_MAX (256u * 1024 * 1024) /* a backstop: callers stop producing once something is pending */

/* The bare calls of the kernel: libc's are points of cancellation, which costs two atomic exchanges each, and nobody cancels
 * a thread here. */
static ssize_t plain_recv(struct conn *c, void *p, size_t n)
{
	return syscall(SYS_recvfrom, c->io.fd, p, n, 0, NULL, NULL);
}

static ssize_t plain_writev(struct conn *c, const struct iovec *iov, int n)
{
	if (n == 1)
		return syscall(SYS_sendto, c->io.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL, NULL, 0);

	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };

	return syscall(SYS_sendmsg, c->io.fd, &m, MSG_NOSIGNAL);
}

static void plain_shutdown(struct conn *c)
{
	shutdown(c->io.fd, SHUT_WR);
}

static void plain_fini(struct conn *c)
{
	(void)c;
}

const struct transport_ops transport_plain = { plain_recv, plain_writev, plain_shutdown, plain_fini, NULL, NULL, NULL };

/* --- kept bytes: a buf on the heap only while there are some --- */

/* Keeps the loop's account of what is kept: had is the buffer's size before. */
static void account(struct loop *l, size_t had, size_t has)
{
	size_t *kept = loop_kept(l);

	__atomic_store_n(kept, *kept - had + has, __ATOMIC_RELAXED); /* one writer; metrics read it from elsewhere */
}

static void drop_buf(struct conn *c, struct buf **b)
{
	if (*b) {
		account(c->loop, (*b)->cap, 0);
		buf_fini(*b);
		free(TAKE(*b));
	}
}

static bool keep(struct conn *c, struct buf **b, const char *p, size_t n, size_t max)
{
	if (!*b) {
		*b = xmalloc(sizeof(**b));
		buf_init(*b, max);
	}

	size_t had = (*b)->cap;
	bool ok = buf_add(*b, p, n);

	account(c->loop, had, (*b)->cap);
	return ok;
}

static void want(struct conn *c)
{
	uint32_t ev = 0;

	if (unlikely(c->flags & CONN_SHAKING)) {
		loop_mod(c->loop, &c->io, c->flags & CONN_TALKS ? EPOLLIN | EPOLLOUT : EPOLLIN);
		return;
	}
	if (!(c->flags & (CONN_PAUSED | CONN_EOF | CONN_FULL | CONN_CONNECTING)))
		ev |= EPOLLIN;
	else if ((c->flags & (CONN_PAUSED | CONN_EOF | CONN_CONNECTING | CONN_ENDING)) == CONN_PAUSED && c->ops->on_ending)
		ev |= EPOLLRDHUP;
	if (c->out || (c->flags & (CONN_CONNECTING | CONN_TALKS)))
		ev |= EPOLLOUT;
	loop_mod(c->loop, &c->io, ev);
}

bool conn_has_kept(const struct conn *c)
{
	return c->in && c->in->len;
}

size_t conn_unread(const struct conn *c)
{
	int n = 0;

	ioctl(c->io.fd, FIONREAD, &n);
	return (size_t)MAX(n, 0) + (c->in ? c->in->len : 0) + (c->tp->held ? c->tp->held(c) : 0);
}

bool conn_has_unread(const struct conn *c)
{
	char byte;

	return c->flags & CONN_HELD || recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* --- input --- */

/* What a transport holds the descriptor does not tell of; what it has to say may wait for room. */
static _cold_ void look_after_transport(struct conn *c)
{
	if (c->flags & CONN_CLOSED)
		return;
	want(c);
	if (c->flags & CONN_HELD && !(c->flags & (CONN_PAUSED | CONN_EOF | CONN_FULL | CONN_CONNECTING)))
		conn_yield(c);
}

/* Shows p[0..n) to the owner; then what was not taken is exactly what is kept. p may be the kept bytes themselves. */
static void show(struct conn *c, const char *p, size_t n, bool is_kept)
{
	size_t took = c->ops->on_data(c, p, n);

	if (c->flags & CONN_CLOSED)
		return;
	assert(took <= n);
	if (is_kept) {
		buf_drop_front(c->in, took);
		if (c->in->len == 0)
			drop_buf(c, &c->in);
	} else if (took < n) {
		bool ok = keep(c, &c->in, p + took, n - took, (size_t)c->keep_max + LOOP_RBUF);

		assert(ok); /* on_readable never reads past that */
	}

	bool full = c->in && c->in->len >= c->keep_max;

	if (full != !!(c->flags & CONN_FULL)) {
		c->flags ^= CONN_FULL;
		want(c);
	}
	if (unlikely(c->flags & (CONN_HELD | CONN_TALKS)))
		look_after_transport(c);
}

static void end_of_input(struct conn *c)
{
	c->flags |= CONN_EOF;
	want(c);
	c->ops->on_eof(c);
}

/* recv gave no bytes. */
static _cold_ void got_none(struct conn *c, ssize_t n)
{
	if (n == 0)
		end_of_input(c);
	else if (errno != EAGAIN && errno != EINTR)
		c->ops->on_error(c, errno);
	else if (c->flags & (CONN_HELD | CONN_TALKS))
		look_after_transport(c);
}

/* Inlined: an event of a plain connection pays for no call of it because there is a second caller. */
static inline __attribute__((always_inline)) void on_readable(struct conn *c)
{
	char *p = loop_rbuf(c->loop);
	size_t had = c->in ? c->in->len : 0;

	if (had > LOOP_RBUF / 2) { /* much is kept already: read behind it in its own buffer */
		size_t size = c->in->cap;

		if (!buf_reserve(c->in, 4096))
			return;
		account(c->loop, size, c->in->cap);

		ssize_t n = c->tp->recv(c, c->in->ptr + had, c->in->cap - had);

		if (n > 0) {
			c->in->len += (size_t)n;
			show(c, c->in->ptr, c->in->len, true);
		} else {
			got_none(c, n);
		}
		return;
	}
	if (had)
		memcpy(p, c->in->ptr, had);

	ssize_t n = c->tp->recv(c, p + had, LOOP_RBUF - had);

	if (n > 0) {
		drop_buf(c, &c->in);
		show(c, p, had + (size_t)n, false);
	} else {
		got_none(c, n);
	}
}

static _cold_ void look_after_kick(struct conn *c)
{
	if (c->flags & CONN_CLOSED)
		return;
	if (c->flags & CONN_FAILED)
		c->ops->on_error(c, EPROTO);
	else if (!(c->flags & (CONN_PAUSED | CONN_EOF | CONN_FULL | CONN_CONNECTING)))
		on_readable(c);
}

static void run_kick(struct deferred *d)
{
	struct conn *c = container_of(d, struct conn, later);

	c->flags &= (uint16_t)~CONN_KICKED;
	if (c->flags & CONN_CLOSED) {
		c->release(c);
		return;
	}
	if (c->in && !(c->flags & CONN_PAUSED))
		show(c, c->in->ptr, c->in->len, true);
	if (unlikely(c->flags & (CONN_HELD | CONN_FAILED)))
		look_after_kick(c);
}

void conn_kick(struct conn *c)
{
	if (c->flags & (CONN_KICKED | CONN_CLOSED))
		return;
	c->flags |= CONN_KICKED;
	loop_defer(c->loop, &c->later, run_kick);
}

void conn_yield(struct conn *c)
{
	if (c->flags & (CONN_KICKED | CONN_CLOSED))
		return;
	c->flags |= CONN_KICKED;
	loop_yield(c->loop, &c->later, run_kick);
}

void conn_pause(struct conn *c)
{
	c->flags |= CONN_PAUSED;
	want(c);
}

void conn_resume(struct conn *c)
{
	if (!(c->flags & CONN_PAUSED))
		return;
	c->flags &= (uint16_t)~CONN_PAUSED;
	want(c);
	if (c->in || c->flags & CONN_HELD)
		conn_kick(c);
}

/* --- output --- */

static void note_taken(struct conn *c, ssize_t n)
{
	if (n > 0)
		c->flags |= CONN_TOOK;
}

static void flush(struct conn *c)
{
	bool had = c->out != NULL;

	while (c->out) {
		struct iovec iov = { c->out->ptr + c->out_at, c->out->len - c->out_at };
		ssize_t n = c->tp->writev(c, &iov, 1);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				c->ops->on_error(c, errno);
			return;
		}
		note_taken(c, n);
		c->out_at += (size_t)n;
		if (c->out_at < c->out->len)
			return; /* a short write: the kernel is full */
		drop_buf(c, &c->out);
		c->out_at = 0;
	}
	if (unlikely(c->flags & CONN_TALKS) && c->tp->flush(c) < 0 && errno != EAGAIN && errno != EINTR) {
		c->ops->on_error(c, errno);
		return;
	}
	want(c);
	if (!had)
		return; /* room for what only the transport had to say */
	if (c->flags & CONN_SHUT) {
		c->tp->shutdown(c);
		if (unlikely(c->flags & CONN_TALKS)) /* its goodbye found no room */
			want(c);
	}
	c->ops->on_drain(c);
}

static void fail_soon(struct conn *c)
{
	c->flags |= CONN_FAILED;
	conn_kick(c);
}

/* Keeps what a write that gave `sent` has left over. */
static void keep_rest(struct conn *c, const struct iovec *iov, int n, ssize_t sent)
{
	size_t skip = sent > 0 ? (size_t)sent : 0;

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		if (errno == EPROTO) /* the transport's: of what the socket says the loop reports EPOLLERR or EPOLLHUP next turn */
			fail_soon(c);
		return;
	}
	for (int i = 0; i < n; i++) {
		size_t from = MIN(skip, iov[i].iov_len);

		skip -= from;
		if (from < iov[i].iov_len &&
		    !keep(c, &c->out, (const char *)iov[i].iov_base + from, iov[i].iov_len - from, OUT_MAX)) {
			fail_soon(c); /* a stream with a hole is worse than none */
			return;
		}
	}
	if (c->out)
		want(c);
}

void conn_flush(struct conn *c)
{
	struct iovec iov = outbox_take(loop_outbox(c->loop), c);
	ssize_t n;

	if (iov.iov_len == 0)
		return;
	n = c->tp->writev(c, &iov, 1); /* nothing is kept, or it would not have come here */
	note_taken(c, n);
	if (likely(n == (ssize_t)iov.iov_len))
		return;
	keep_rest(c, &iov, 1, n);
}

void conn_writev(struct conn *c, const struct iovec *iov, int n)
{
	size_t total = 0;

	assert(n <= CONN_IOV_MAX);
	if (c->flags & CONN_CLOSED)
		return;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total <= OUTBOX_PIECE && !c->out && !(c->flags & CONN_CONNECTING)) {
		outbox_add(loop_outbox(c->loop), c, iov, n, total);
		return;
	}

	struct iovec all[CONN_IOV_MAX + 1] = { outbox_take(loop_outbox(c->loop), c) };
	int had = all[0].iov_len > 0;
	ssize_t sent = 0;

	memcpy(all + had, iov, (size_t)n * sizeof(*iov));
	if (!c->out && !(c->flags & CONN_CONNECTING)) {
		sent = c->tp->writev(c, all, n + had);
		note_taken(c, sent);
	}
	keep_rest(c, all, n + had, sent);
}

void conn_write(struct conn *c, const void *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };

	conn_writev(c, &iov, 1);
}

void conn_shutdown(struct conn *c)
{
	if (c->flags & (CONN_SHUT | CONN_CLOSED))
		return;
	conn_flush(c);
	c->flags |= CONN_SHUT;
	if (!c->out)
		c->tp->shutdown(c);
	if (unlikely(c->flags & CONN_TALKS))
		want(c);
}

/* --- life --- */

static void connected(struct conn *c)
{
	c->flags &= (uint16_t)~(CONN_CONNECTING | CONN_SHAKING);
	want(c);
	if (c->ops->on_connect)
		c->ops->on_connect(c);
	if (!(c->flags & CONN_CLOSED) && c->out)
		flush(c);
}

/* One step of the transport's handshake. */
static void shake(struct conn *c)
{
	int r = c->tp->handshake(c);

	if (r < 0) {
		c->ops->on_error(c, errno);
		return;
	}
	if (r == 0) {
		want(c);
		return;
	}
	connected(c);
	if (c->flags & (CONN_HELD | CONN_TALKS))
		look_after_transport(c);
}

static void finish_connect(struct conn *c)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &err, &n);
	if (err) {
		c->ops->on_error(c, err);
		return;
	}
	if (c->tp->handshake) {
		c->flags |= CONN_SHAKING;
		shake(c);
		return;
	}
	connected(c);
}

/* A hang-up or error on a side that is paused is reported by epoll all the same: it must end the conn, or spin. What came
 * before a reset is read first: an answer may be whole, although its sender could not wait to be rid of us. */
static void on_event(struct io *io, uint32_t events)
{
	struct conn *c = container_of(io, struct conn, io);

	if (c->flags & CONN_CONNECTING) {
		if (!(c->flags & CONN_SHAKING))
			finish_connect(c);
		else if (events & EPOLLOUT && c->tp->flush(c) < 0 && errno != EAGAIN && errno != EINTR)
			c->ops->on_error(c, errno);
		else if (events & ~(uint32_t)EPOLLOUT)
			shake(c);
		else
			want(c);
		return;
	}
	if (((events & EPOLLERR) && !(events & io->events & EPOLLIN)) ||
	    ((events & EPOLLHUP) && !(events & EPOLLIN) && !(io->events & EPOLLIN))) {
		int err = 0;
		socklen_t n = sizeof(err);

		getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &n);
		c->ops->on_error(c, err ? err : ECONNRESET);
		return;
	}
	if (events & EPOLLOUT &&
	    !(events & (EPOLLERR | EPOLLHUP))) /* else it takes nothing, and what came before is read first */
		flush(c);
	if (events & EPOLLRDHUP && (c->flags & (CONN_PAUSED | CONN_CLOSED | CONN_ENDING)) == CONN_PAUSED) {
		c->flags |= CONN_ENDING;
		want(c);
		c->ops->on_ending(c);
	}
	if (!(c->flags & CONN_CLOSED) && (events & (EPOLLIN | EPOLLHUP)) && (io->events & EPOLLIN))
		on_readable(c);
}

static void conn_setup(struct conn *c, struct loop *loop, int fd, const struct conn_ops *ops, size_t keep_max)
{
	*c = (struct conn){
		.io = { .fd = fd, .fn = on_event },
		.keep_max = (uint32_t)keep_max,
		.loop = loop,
		.ops = ops,
		.tp = &transport_plain,
	};
}

int conn_open(struct conn *c, struct loop *loop, int fd, const struct conn_ops *ops, size_t keep_max)
{
	conn_setup(c, loop, fd, ops, keep_max);
	if (loop_add(loop, &c->io, EPOLLIN) < 0) {
		close(fd);
		return VINE_EIO;
	}
	return 0;
}

int conn_connect(struct conn *c, struct loop *loop, const struct addr *to, const struct conn_ops *ops, size_t keep_max)
{
	int one = 1, fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return VINE_EIO;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn_setup(c, loop, fd, ops, keep_max);
	if (connect(fd, &to->sa, addr_len(to)) < 0 && errno != EINPROGRESS) {
		int saved = errno;

		close(fd);
		errno = saved;
		return VINE_EIO;
	}
	c->flags = CONN_CONNECTING;
	if (loop_add(loop, &c->io, EPOLLOUT) < 0) {
		close(fd);
		return VINE_EIO;
	}
	return 0;
}

void conn_close(struct conn *c, void (*release)(struct conn *c))
{
	assert(!(c->flags & CONN_CLOSED));
	c->flags |= CONN_CLOSED;
	c->release = release;
	outbox_take(loop_outbox(c->loop), c);
	c->tp->fini(c);
	loop_del(c->loop, &c->io);
	close(c->io.fd);
	c->io.fd = -1;
	drop_buf(c, &c->in);
	drop_buf(c, &c->out);
	if (!(c->flags & CONN_KICKED)) {
		c->flags |= CONN_KICKED;
		loop_defer(c->loop, &c->later, run_kick);
	}
}

void conn_reset(struct conn *c, void (*release)(struct conn *c))
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	conn_close(c, release);
}
