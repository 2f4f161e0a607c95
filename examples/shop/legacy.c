/* legacy.c - the monolith that was there before: it knows nothing of Vine and links nothing of it.
 *
 * One program with everything in it: catalogue, members, pages. HTTP/1.0, one answer a connection, one thread a connection,
 * its own connection to the shop's database. The gateway sends it what no API server has taken over yet.
 *
 *	legacy PORT DATABASE        PORT 0 takes a free one and names it in the ready line */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 8192
#define PAGE_MAX (64 * 1024)
#define CLIENT_SECONDS 10 /* a client that sends or reads nothing for so long is left */
#define THREADS_MAX 64

struct shop {
	const char *database;
	pthread_mutex_t lock; /* guards threads */
	pthread_cond_t ended;
	int threads;
};

struct visit {
	struct shop *shop;
	int fd;
};

struct page {
	char text[PAGE_MAX];
	size_t len;
};

static void add(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct page *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(p->text + p->len, sizeof(p->text) - p->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		p->len += (size_t)n < sizeof(p->text) - p->len ? (size_t)n : sizeof(p->text) - p->len - 1;
}

/* Text from the database, fit to stand in HTML. */
static void add_html(struct page *p, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '<': add(p, "&lt;"); break;
		case '>': add(p, "&gt;"); break;
		case '&': add(p, "&amp;"); break;
		case '"': add(p, "&quot;"); break;
		default: add(p, "%c", *s);
		}
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

static void answer(int fd, const char *status, const struct page *p)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.0 %s\r\nServer: shop/7.2\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
			 status, p->len);

	send_all(fd, head, (size_t)n);
	send_all(fd, p->text, p->len);
}

/* The number behind "no=" in the query; -1: there is none. */
static long query_no(const char *target)
{
	const char *q = strchr(target, '?');

	while (q) {
		if (strncmp(q + 1, "no=", 3) == 0)
			return strtol(q + 4, NULL, 10);
		q = strchr(q + 1, '&');
	}
	return -1;
}

static sqlite3_stmt *ask(sqlite3 *db, const char *sql, long no)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return NULL;
	if (sqlite3_bind_parameter_count(st) > 0)
		sqlite3_bind_int64(st, 1, no);
	return st;
}

static const char *main_page(sqlite3 *db, struct page *p, long no)
{
	sqlite3_stmt *st = ask(db, "SELECT id, name, price FROM product ORDER BY id", no);

	add(p, "<h1>The shop</h1>\n<ul>\n");
	while (st && sqlite3_step(st) == SQLITE_ROW) {
		add(p, "<li><a href=\"product.do?no=%d\">", sqlite3_column_int(st, 0));
		add_html(p, (const char *)sqlite3_column_text(st, 1));
		add(p, "</a> %d won</li>\n", sqlite3_column_int(st, 2));
	}
	add(p, "</ul>\n");
	sqlite3_finalize(st);
	return st ? "200 OK" : "500 Internal Server Error";
}

static const char *product_page(sqlite3 *db, struct page *p, long no)
{
	sqlite3_stmt *st = ask(db, "SELECT name, price, stock FROM product WHERE id = ?", no);
	bool found = st && sqlite3_step(st) == SQLITE_ROW;

	if (found) {
		add(p, "<h1>");
		add_html(p, (const char *)sqlite3_column_text(st, 0));
		add(p, "</h1>\n<p>%d won, %d in stock</p>\n", sqlite3_column_int(st, 1), sqlite3_column_int(st, 2));
	} else {
		add(p, "<h1>No such product</h1>\n");
	}
	sqlite3_finalize(st);
	return found ? "200 OK" : "404 Not Found";
}

static const char *member_page(sqlite3 *db, struct page *p, long no)
{
	sqlite3_stmt *st = ask(db, "SELECT name, grade FROM member WHERE id = ?", no);
	bool found = st && sqlite3_step(st) == SQLITE_ROW;

	if (found) {
		add(p, "<h1>");
		add_html(p, (const char *)sqlite3_column_text(st, 0));
		add(p, "</h1>\n<p>");
		add_html(p, (const char *)sqlite3_column_text(st, 1));
		add(p, "</p>\n");
	} else {
		add(p, "<h1>No such member</h1>\n");
	}
	sqlite3_finalize(st);
	return found ? "200 OK" : "404 Not Found";
}

static const struct {
	const char *path;
	const char *(*show)(sqlite3 *db, struct page *p, long no);
} pages[] = {
	{ "/shop/main.do", main_page },
	{ "/shop/product.do", product_page },
	{ "/shop/member.do", member_page },
};

static const char *render(const char *database, const char *target, struct page *p)
{
	const char *status = "404 Not Found";
	size_t path = strcspn(target, "?");
	sqlite3 *db = NULL;

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strlen(pages[i].path) != path || strncmp(pages[i].path, target, path) != 0)
			continue;
		if (sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
			status = pages[i].show(db, p, query_no(target));
		else
			status = "503 Service Unavailable";
		sqlite3_close(db);
		return status;
	}
	add(p, "<h1>No such page</h1>\n");
	return status;
}

/* Reads up to the empty line; the request's target is cut out of it. NULL: no request came. */
static char *read_request(int fd, char buf[REQUEST_MAX])
{
	size_t n = 0;

	buf[0] = 0;
	while (!strstr(buf, "\r\n\r\n") && !strstr(buf, "\n\n")) {
		ssize_t r = n + 1 < REQUEST_MAX ? recv(fd, buf + n, REQUEST_MAX - 1 - n, 0) : 0;

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return NULL;
		n += (size_t)r;
		buf[n] = 0;
	}

	char *target = strchr(buf, ' ');
	char *end = target ? strpbrk(target + 1, " \r\n") : NULL;

	if (!end || strncmp(buf, "GET ", 4) != 0)
		return NULL;
	*end = 0;
	return target + 1;
}

static void *serve(void *arg)
{
	struct visit *v = arg;
	struct shop *shop = v->shop;
	char *buf = malloc(REQUEST_MAX);
	struct page *p = calloc(1, sizeof(*p));
	struct timeval patience = { .tv_sec = CLIENT_SECONDS };

	setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(v->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (buf && p) {
		const char *target = read_request(v->fd, buf);

		if (target)
			answer(v->fd, render(shop->database, target, p), p);
		else
			answer(v->fd, "400 Bad Request", p);
	}
	close(v->fd);
	free(p);
	free(buf);
	free(v);
	pthread_mutex_lock(&shop->lock);
	shop->threads--;
	pthread_cond_signal(&shop->ended);
	pthread_mutex_unlock(&shop->lock);
	return NULL;
}

static int listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		fprintf(stderr, "legacy: cannot listen on 127.0.0.1:%d: %s\n", port, strerror(errno));
		exit(1);
	}
	printf("legacy ready: http://127.0.0.1:%d pid %d\n", ntohs(a.sin_port), (int)getpid());
	fflush(stdout);
	return fd;
}

static void greet(struct shop *shop, int fd)
{
	struct visit *v = malloc(sizeof(*v));
	pthread_t t;

	pthread_mutex_lock(&shop->lock);
	while (shop->threads >= THREADS_MAX)
		pthread_cond_wait(&shop->ended, &shop->lock);
	shop->threads++;
	pthread_mutex_unlock(&shop->lock);
	if (v) {
		*v = (struct visit){ shop, fd };
		if (pthread_create(&t, NULL, serve, v) == 0) {
			pthread_detach(t);
			return;
		}
	}
	free(v);
	close(fd);
	pthread_mutex_lock(&shop->lock);
	shop->threads--;
	pthread_mutex_unlock(&shop->lock);
}

int main(int argc, char **argv)
{
	char *end = NULL;
	long port = argc == 3 ? strtol(argv[1], &end, 10) : -1;

	if (port < 0 || port > 65535 || *end) {
		fprintf(stderr, "usage: legacy PORT DATABASE\n");
		return 2;
	}

	struct shop shop = { .database = argv[2], .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
	int listener = listen_on((int)port);

	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			greet(&shop, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			usleep(10000); /* out of descriptors: some visit will end */
	}
}
