/* regload.c - load for a registry: heartbeats, registrations, changes, from keep-alive connections on one thread.
 *
 *   regload beat|register|change|get PORT CONNS SECONDS RATE APPS PER_APP
 *
 * Instance number i is web<i>.example.net:app<i % APPS>:8080 of app APP<i % APPS>, i < APPS * PER_APP. beat and change choose them at
 * random; register takes each once, in order, and ends when all are there (SECONDS bounds it); get asks for /beat over and over, for
 * the server that stands beside. RATE 0: as fast as answers come; else so many requests a second over all connections.
 * Prints one line: requests, seconds, requests a second, answers other than 200 and 204, microseconds of p50, p99, p99.9. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_MAX 4096
#define IN_MAX 8192
#define SLOTS 200000 /* of the histogram: 10 us each, the last is all above */

enum kind { BEAT, REGISTER, CHANGE, GET };

struct conn {
	int fd;
	size_t have;
	uint64_t sent_at;
	int waits; /* an answer is due */
	char in[IN_MAX];
};

static enum kind kind;
static unsigned apps, total, next_one;
static uint64_t rng = 88172645463325252ull, seq;
static uint32_t hist[SLOTS];
static uint64_t done, bad;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned any(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng % total);
}

/* As a Spring Boot service registers. */
static int registration(char *out, unsigned i, uint64_t dirty)
{
	char body[2048];
	unsigned a = i % apps;
	int n = snprintf(
		body, sizeof(body),
		"{\"instance\":{\"instanceId\":\"web%u.example.net:app%u:8080\",\"app\":\"APP%u\",\"appGroupName\":"
		"null,"
		"\"ipAddr\":\"10.%u.%u.%u\",\"sid\":\"na\",\"homePageUrl\":\"http://web%u.example.net:8080/\","
		"\"statusPageUrl\":\"http://web%u.example.net:8080/actuator/info\","
		"\"healthCheckUrl\":\"http://web%u.example.net:8080/actuator/health\",\"secureHealthCheckUrl\":null,"
		"\"vipAddress\":\"app%u\",\"secureVipAddress\":\"app%u\",\"countryId\":1,\"dataCenterInfo\":{\"@"
		"class\":"
		"\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\",\"name\":\"MyOwn\"},\"hostName\":"
		"\"web%u.example.net\",\"status\":\"UP\",\"overriddenStatus\":\"UNKNOWN\",\"leaseInfo\":"
		"{\"renewalIntervalInSecs\":30,\"durationInSecs\":90,\"registrationTimestamp\":0,"
		"\"lastRenewalTimestamp\":0,"
		"\"evictionTimestamp\":0,\"serviceUpTimestamp\":0},\"isCoordinatingDiscoveryServer\":false,"
		"\"lastUpdatedTimestamp\":%llu,\"lastDirtyTimestamp\":%llu,\"actionType\":null,\"asgName\":null,"
		"\"port\":{\"$\":8080,\"@enabled\":\"true\"},\"securePort\":{\"$\":443,\"@enabled\":\"false\"},"
		"\"metadata\":{\"management.port\":\"8080\",\"zone\":\"zone%u\"}}}",
		i, a, a, i >> 16 & 255, i >> 8 & 255, i & 255, i, i, i, a, a, i, (unsigned long long)dirty,
		(unsigned long long)dirty, i % 3);

	return snprintf(
		out, OUT_MAX,
		"POST /eureka/apps/APP%u HTTP/1.1\r\nHost: registry:8761\r\nAccept: application/json\r\nContent-Type: "
		"application/json\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n%s",
		a, n, body);
}

static int request(char *out)
{
	unsigned i;

	switch (kind) {
	case REGISTER:
		if (next_one == total)
			return 0;
		return registration(out, next_one++, 1700000000000ull);
	case CHANGE: i = any(); return registration(out, i, 1700000000001ull + ++seq);
	case GET:
		return snprintf(
			out, OUT_MAX,
			"PUT /beat HTTP/1.1\r\nHost: registry:8761\r\nAccept: application/json\r\nUser-Agent: bench\r\n"
			"Content-Length: 0\r\n\r\n");
	default:
		i = any();
		return snprintf(out, OUT_MAX,
				"PUT "
				"/eureka/apps/APP%u/"
				"web%u.example.net:app%u:8080?status=UP&lastDirtyTimestamp=1700000000000 HTTP/1.1\r\n"
				"Host: registry:8761\r\nDiscoveryIdentity-Name: "
				"DefaultClient\r\nDiscoveryIdentity-Version: 1.4\r\n"
				"DiscoveryIdentity-Id: 10.0.0.1\r\nAccept: application/json\r\nUser-Agent: "
				"Java-EurekaClient/v2.0.6\r\n"
				"Content-Length: 0\r\n\r\n",
				i % apps, i, i % apps);
	}
}

static int ask(struct conn *c, uint64_t now)
{
	char out[OUT_MAX];
	int n = request(out);

	if (n == 0)
		return 0;
	c->sent_at = now;
	c->waits = 1;
	if (write(c->fd, out, (size_t)n) != n) {
		perror("write");
		exit(1);
	}
	return 1;
}

/* Takes an answer, whose body is always empty or announced and small. */
static void take(struct conn *c)
{
	ssize_t n = read(c->fd, c->in + c->have, IN_MAX - 1 - c->have);
	char *end, *len;

	if (n <= 0) {
		fprintf(stderr, "the registry closed a connection\n");
		exit(1);
	}
	c->have += (size_t)n;
	c->in[c->have] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return;
	len = strstr(c->in, "Content-Length: ");
	if (len && len < end && c->have < (size_t)(end + 4 - c->in) + strtoul(len + 16, NULL, 10))
		return;
	if (memcmp(c->in + 9, "200", 3) != 0 && memcmp(c->in + 9, "204", 3) != 0) {
		if (bad++ == 0)
			fprintf(stderr, "%.200s\n", c->in);
	}
	c->have = 0;
	c->waits = 0;
	done++;

	uint64_t us = now_us() - c->sent_at;

	hist[us / 10 < SLOTS ? us / 10 : SLOTS - 1]++;
}

static unsigned quantile(double q)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		sum += hist[i];
		if ((double)sum >= q * (double)done)
			return i * 10 + 5;
	}
	return SLOTS * 10;
}

static void open_all(struct conn *c, unsigned n, int ep, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	for (unsigned i = 0; i < n; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &c[i] };

		c[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (c[i].fd < 0 || connect(c[i].fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
			perror("connect");
			exit(1);
		}
		setsockopt(c[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &ev);
	}
}

/* Asks on connections that wait for nothing, by turns, until as many were asked as the rate wants by now. */
static void ask_due(struct conn *c, unsigned n_conns, double wanted, uint64_t now)
{
	static uint64_t due;
	static unsigned turn;

	for (; (double)due < wanted; due++) {
		unsigned tried = 0;

		while (tried < n_conns && c[turn % n_conns].waits) {
			turn++;
			tried++;
		}
		if (tried == n_conns)
			return; /* all wait: the rate is not reached */
		ask(&c[turn++ % n_conns], now);
	}
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "beat", "register", "change", "get" };
	struct epoll_event ev[512];
	uint64_t began, end;
	unsigned n_conns, k;
	int ep = epoll_create1(0);
	double rate;

	if (argc != 8)
		return 2;
	for (k = 0; k < 4 && strcmp(argv[1], kinds[k]) != 0; k++)
		;
	if (k == 4)
		return 2;
	kind = (enum kind)k;
	n_conns = (unsigned)atoi(argv[3]);
	rate = atof(argv[5]);
	apps = (unsigned)atoi(argv[6]);
	total = apps * (unsigned)atoi(argv[7]);

	struct conn *c = calloc(n_conns, sizeof(*c));

	open_all(c, n_conns, ep, atoi(argv[2]));
	began = now_us();
	end = began + (uint64_t)(atof(argv[4]) * 1e6);
	for (unsigned i = 0; i < n_conns && rate == 0; i++)
		ask(&c[i], now_us());

	unsigned open = 0;

	do {
		uint64_t now = now_us();
		int n;

		if (rate > 0 && now < end)
			ask_due(c, n_conns, (double)(now - began) * rate / 1e6, now);
		n = epoll_wait(ep, ev, 512, rate > 0 ? 1 : 1000);
		for (int i = 0; i < n; i++) {
			struct conn *one = ev[i].data.ptr;

			take(one);
			if (!one->waits && rate == 0 && now < end)
				ask(one, now_us());
		}
		open = 0;
		for (unsigned i = 0; i < n_conns && now >= end; i++)
			open += (unsigned)c[i].waits;
	} while (now_us() < end ? kind != REGISTER || done < total : open > 0 && now_us() < end + 5000000);

	double seconds = (double)(now_us() - began) / 1e6;

	printf("%llu %.3f %.0f %llu %u %u %u\n", (unsigned long long)done, seconds, (double)done / seconds,
	       (unsigned long long)bad, quantile(0.5), quantile(0.99), quantile(0.999));
	return bad != 0;
}
