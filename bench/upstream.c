/* upstream.c - the server behind the proxies under test: as little work a request as can be.
 *
 *   upstream PORT
 *
 * GET /N/... is answered with 200 and N bytes (2 to 1 MiB). Keep-alive, one thread, no allocation a request once a size
 * has been asked for. Request bodies are not read: not a general server. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_MAX 16384
#define BODY_MAX (1u << 20)
#define SIZES 16

struct answer {
	size_t body, len;
	char *bytes;
};

struct peer {
	int fd;
	size_t have;    /* bytes of an incomplete head */
	const char *out; /* what the kernel did not take */
	size_t left;
	char in[IN_MAX];
};

static struct answer answers[SIZES];

static const struct answer *answer_of(size_t body)
{
	struct answer *a = answers;

	while (a < answers + SIZES - 1 && a->bytes && a->body != body)
		a++;
	if (a->bytes && a->body == body)
		return a;
	free(a->bytes);
	a->bytes = malloc(body + 256);
	if (!a->bytes)
		abort();

	int head = sprintf(a->bytes,
			   "HTTP/1.1 200 OK\r\nServer: upstream\r\nContent-Type: application/json\r\n"
			   "Cache-Control: no-store\r\nContent-Length: %zu\r\n\r\n",
			   body);

	memset(a->bytes + head, 'x', body);
	a->body = body;
	a->len = (size_t)head + body;
	return a;
}

static void drop(struct peer *p)
{
	close(p->fd);
	free(p);
}

static void watch(int ep, int how, struct peer *p, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = p };

	epoll_ctl(ep, how, p->fd, &ev);
}

/* 0: the kernel is full, 1: all gone, -1: the peer is. */
static int flush(struct peer *p)
{
	while (p->left) {
		ssize_t n = send(p->fd, p->out, p->left, MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		p->out += n;
		p->left -= (size_t)n;
		if (p->left)
			return 0;
	}
	return 1;
}

/* Answers the requests in p->in, as many as are whole and the kernel takes. Returns -1 if the peer is gone. */
static int serve(int ep, struct peer *p)
{
	size_t at = 0;

	for (;;) {
		char *end = memmem(p->in + at, p->have - at, "\r\n\r\n", 4);
		size_t size = 2;

		if (!end)
			break;

		char *slash = memchr(p->in + at, '/', p->have - at);

		if (slash && slash < end)
			size = strtoul(slash + 1, NULL, 10);
		if (size < 2 || size > BODY_MAX)
			size = 2;
		at = (size_t)(end - p->in) + 4;

		const struct answer *a = answer_of(size);

		p->out = a->bytes;
		p->left = a->len;

		int r = flush(p);

		if (r < 0)
			return -1;
		if (r == 0) {
			watch(ep, EPOLL_CTL_MOD, p, EPOLLOUT);
			break;
		}
	}
	memmove(p->in, p->in + at, p->have - at);
	p->have -= at;
	return p->have == IN_MAX ? -1 : 0;
}

static void on_event(int ep, struct peer *p, uint32_t events)
{
	if (events & EPOLLOUT) {
		int r = flush(p);

		if (r <= 0) {
			if (r < 0)
				drop(p);
			return;
		}
		watch(ep, EPOLL_CTL_MOD, p, EPOLLIN);
	} else {
		ssize_t n = recv(p->fd, p->in + p->have, IN_MAX - p->have, 0);

		if (n <= 0) {
			drop(p);
			return;
		}
		p->have += (size_t)n;
	}
	if (serve(ep, p) < 0)
		drop(p);
}

static void on_accept(int ep, int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct peer *p = calloc(1, sizeof(*p));

		if (!p)
			abort();
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		p->fd = fd;
		watch(ep, EPOLL_CTL_ADD, p, EPOLLIN);
	}
}

int main(int argc, char **argv)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN }, got[256];

	a.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)); /* several may share the port */
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 4096)) {
		perror("upstream");
		return 1;
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, got, 256, -1);

		for (int i = 0; i < n; i++) {
			if (got[i].data.ptr)
				on_event(ep, got[i].data.ptr, got[i].events);
			else
				on_accept(ep, listener);
		}
	}
}
