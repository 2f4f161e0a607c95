/* procmeters.c - see procmeters.h. Read from /proc and the kernel when a snapshot is taken, nothing in between.
 *
 * CPU usages are of the time since the previous snapshot that is at least a second old, so that two scrapers do not make
 * each other's numbers jump. The jvm.* names carry this process's own heap and threads: pages made for Boot show them. */
#include "manage/procmeters.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "http/identities.h"
#include "manage/control.h"
#include "manage/meters.h"

static const struct meter_desc d_uptime = { "process.uptime", "Time since the process started", "seconds", 0 };
static const struct meter_desc d_start = { "process.start.time", "Start time of the process since unix epoch", "seconds", 0 };
static const struct meter_desc d_cpu = { "process.cpu.usage", "The recent cpu usage of this process", NULL, 0 };
static const struct meter_desc d_cpu_time = { "process.cpu.time", "CPU time that this process used", "ns", 0 };
static const struct meter_desc d_sys_cpu = { "system.cpu.usage", "The recent cpu usage of the whole system", NULL, 0 };
static const struct meter_desc d_cpus = { "system.cpu.count", "Processors available to this process", NULL, 0 };
static const struct meter_desc d_load = { "system.load.average.1m", "Runnable tasks, averaged over a minute", NULL, 0 };
static const struct meter_desc d_files = { "process.files.open", "Open file descriptors", "files", 0 };
static const struct meter_desc d_files_max = { "process.files.max", "The most file descriptors that may be open", "files", 0 };
static const struct meter_desc d_mem_used = { "jvm.memory.used", "Memory in use by this process's allocator", "bytes", 0 };
static const struct meter_desc d_mem_comm = { "jvm.memory.committed", "Memory that the allocator got from the system", "bytes", 0 };
static const struct meter_desc d_mem_max = { "jvm.memory.max", "The most memory that can be used", "bytes", 0 };
static const struct meter_desc d_threads = { "jvm.threads.live", "Threads of this process", "threads", 0 };
static const struct meter_desc d_threads_peak = { "jvm.threads.peak", "The most threads seen at a reading", "threads", 0 };
static const struct meter_desc d_threads_daemon = { "jvm.threads.daemon", "Threads that do not keep the process alive", "threads", 0 };
static const struct meter_desc d_rss = { "vine.process.memory.resident", "Memory of this process in RAM", "bytes", 0 };
static const struct meter_desc d_disk_free = { "disk.free", "Usable space for the path", "bytes", 0 };
static const struct meter_desc d_disk_total = { "disk.total", "Total space for the path", "bytes", 0 };
static const struct meter_desc d_ready = { "application.ready.time", "Time from the start to the ready line", "seconds", 0 };
static const struct meter_desc d_log = { "logback.events", "Log lines written, by level", "events", 0 };
static const struct meter_desc d_reload = { "vine.config.reloads", "Configuration reloads, by result", NULL, 0 };
static const struct meter_desc d_bad = { "vine.config.invalid", "1 while the configuration on disk was refused and an older one is in force", NULL, 0 };
static const struct meter_desc d_conns = { "vine.server.connections", "Connections to the server now", "connections", 0 };
static const struct meter_desc d_active = { "vine.server.exchanges", "Requests in progress now", NULL, 0 };
static const struct meter_desc d_accepted = { "vine.server.accepted", "Connections accepted", "connections", 0 };
static const struct meter_desc d_refused = { "vine.server.refused", "Connections refused, by the limit that they met", "connections", 0 };
static const struct meter_desc d_bad_req = { "vine.server.malformed", "Requests that were not HTTP as it should be", NULL, 0 };
static const struct meter_desc d_timeouts = { "vine.server.timeouts", "Connections closed because the peer was too slow", "connections", 0 };
static const struct meter_desc d_half_open = { "vine.server.half.open", "Connections that have sent part of a head", "connections", 0 };
static const struct meter_desc d_handshakes = { "vine.tls.handshakes", "Handshakes of clients", "connections", 0 };
static const struct meter_desc d_expires = { "vine.tls.certificate.expires", "Until the own certificate ends", "seconds", 0 };
static const struct meter_desc d_shed = { "vine.server.shed", "Half-sent heads dropped because there were too many", "connections", 0 };
static const struct meter_desc d_kept = { "vine.server.buffered", "Buffers that hold input or output of connections", "bytes", 0 };
static const struct meter_desc d_upstream = { "vine.client.connections", "Connections to other servers now", "connections", 0 };
static const struct meter_desc d_jobs = { "vine.jobs.active", "Jobs running in the lane", NULL, 0 };
static const struct meter_desc d_jobs_queued = { "vine.jobs.queued", "Jobs waiting in the lane", NULL, 0 };

struct cpu_times {
	usec at;
	double process; /* seconds */
	double busy, total; /* system, ticks */
};

struct procmeters {
	struct host *h;
	struct cpu_times now, base;
	double threads_peak;
};

static void gauge(struct meter_snapshot *s, const struct meter_desc *d, double v)
{
	snapshot_add(s, METER_GAUGE, d, v, NULL, 0);
}

/* --- CPU --- */

static void read_cpu(struct cpu_times *t)
{
	struct rusage ru;
	unsigned long long v[8] = { 0 };
	FILE *f = fopen("/proc/stat", "re");

	t->at = clock_mono();
	getrusage(RUSAGE_SELF, &ru);
	t->process = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	if (!f)
		return;
	if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 8) {
		t->total = 0;
		for (unsigned i = 0; i < 8; i++)
			t->total += (double)v[i];
		t->busy = t->total - (double)(v[3] + v[4]); /* idle, iowait */
	}
	fclose(f);
}

static void add_cpu(struct meter_snapshot *s, struct procmeters *p)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct cpu_times t = { 0 };
	double load[1];

	read_cpu(&t);
	if (t.at - p->now.at >= USEC_PER_SEC) {
		p->base = p->now;
		p->now = t;
	}

	double span = (double)(p->now.at - p->base.at) / 1e6, ticks = p->now.total - p->base.total;

	gauge(s, &d_cpus, (double)cpus);
	gauge(s, &d_cpu, span > 0 ? (p->now.process - p->base.process) / span / (double)MAX(cpus, 1) : 0);
	gauge(s, &d_sys_cpu, ticks > 0 ? (p->now.busy - p->base.busy) / ticks : 0);
	snapshot_add(s, METER_COUNTER, &d_cpu_time, t.process * 1e9, NULL, 0);
	if (getloadavg(load, 1) == 1)
		gauge(s, &d_load, load[0]);
}

/* --- memory, threads, descriptors, disk --- */

static void add_memory(struct meter_snapshot *s)
{
	const struct meter_tag tags[] = { { "area", STR("heap") }, { "id", STR("malloc") } };
	struct mallinfo2 mi = mallinfo2();
	unsigned long size, rss;
	FILE *f = fopen("/proc/self/statm", "re");

	snapshot_add(s, METER_GAUGE, &d_mem_used, (double)(mi.uordblks + mi.hblkhd), tags, 2);
	snapshot_add(s, METER_GAUGE, &d_mem_comm, (double)(mi.arena + mi.hblkhd), tags, 2);
	snapshot_add(s, METER_GAUGE, &d_mem_max, (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE), tags, 2);
	if (!f)
		return;
	if (fscanf(f, "%lu %lu", &size, &rss) == 2)
		gauge(s, &d_rss, (double)rss * (double)sysconf(_SC_PAGESIZE));
	fclose(f);
}

static unsigned count_entries(const char *path)
{
	unsigned n = 0;
	DIR *d = opendir(path);

	if (!d)
		return 0;
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	closedir(d);
	return n;
}

static void add_system(struct meter_snapshot *s, struct procmeters *p)
{
	struct rlimit rl;
	struct statvfs vfs;
	const char *path = p->h->data_dir[0] ? p->h->data_dir : ".";
	const struct meter_tag tag = { "path", str_from(path) };
	unsigned threads = count_entries("/proc/self/task"), files = count_entries("/proc/self/fd");

	p->threads_peak = MAX(p->threads_peak, (double)threads);
	gauge(s, &d_threads, threads);
	gauge(s, &d_threads_peak, p->threads_peak);
	gauge(s, &d_threads_daemon, 0);
	gauge(s, &d_files, files ? files - 1.0 : 0); /* not the one we read with */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		gauge(s, &d_files_max, (double)rl.rlim_cur);
	if (statvfs(path, &vfs) == 0) {
		snapshot_add(s, METER_GAUGE, &d_disk_free, (double)vfs.f_bavail * (double)vfs.f_frsize, &tag, 1);
		snapshot_add(s, METER_GAUGE, &d_disk_total, (double)vfs.f_blocks * (double)vfs.f_frsize, &tag, 1);
	}
}

/* --- Vine's own --- */

static void add_log(struct meter_snapshot *s, const struct host *h)
{
	for (unsigned level = LOG_TRACE; level < LOG_OFF; level++) {
		const struct meter_tag tag = { "level", str_from(log_level_name(level)) };

		snapshot_add(s, METER_COUNTER, &d_log, (double)log_lines(h->logs, level), &tag, 1);
	}
}

static void add_reload(struct meter_snapshot *s, const struct control *c)
{
	const struct meter_tag ok = { "result", STR("accepted") }, bad = { "result", STR("refused") };

	snapshot_add(s, METER_COUNTER, &d_reload, (double)c->reload.accepted, &ok, 1);
	snapshot_add(s, METER_COUNTER, &d_reload, (double)c->reload.refused, &bad, 1);
	gauge(s, &d_bad, c->reload.bad);
}

static void add_jobs(struct meter_snapshot *s, struct jobs_lane *lane, const char *name)
{
	const struct meter_tag tag = { "lane", str_from(name) };
	struct jobs_stats st;

	jobs_lane_stats(lane, &st);
	snapshot_add(s, METER_GAUGE, &d_jobs, st.active, &tag, 1);
	snapshot_add(s, METER_GAUGE, &d_jobs_queued, st.queued, &tag, 1);
}

/* Only where TLS is spoken at all. */
static void add_tls(struct meter_snapshot *s, const struct host *h, uint64_t done, uint64_t failed)
{
	const struct meter_tag ok = { "result", STR("done") }, bad = { "result", STR("failed") };
	int64_t left;
	struct str scope;

	if (h->listen_tls) {
		snapshot_add(s, METER_COUNTER, &d_handshakes, (double)done, &ok, 1);
		snapshot_add(s, METER_COUNTER, &d_handshakes, (double)failed, &bad, 1);
	}
	for (size_t i = 0; identities_at(h->tls, i, &scope, &left); i++) {
		const struct meter_tag tag = { "identity", scope };

		if (left != INT64_MAX)
			snapshot_add(s, METER_GAUGE, &d_expires, (double)left, &tag, 1);
	}
}

static void add_refused(struct meter_snapshot *s, const char *limit, uint64_t n)
{
	const struct meter_tag tag = { "limit", str_from(limit) };

	snapshot_add(s, METER_COUNTER, &d_refused, (double)n, &tag, 1);
}

static void add_servers(struct meter_snapshot *s, struct host *h)
{
	struct http_server_stats sum = { 0 };
	unsigned upstream = 0;

	for (unsigned i = 0; i < h->n_workers; i++) {
		struct http_server_stats one;
		const struct worker *w = &h->workers[i];

		if (!w->started)
			continue;
		http_server_stats(w->server, &one);
		upstream += http_client_open(w->client);
		sum.connections += one.connections;
		sum.refused += one.refused;
		sum.refused_address += one.refused_address;
		sum.refused_files += one.refused_files;
		sum.shed += one.shed;
		sum.handshakes += one.handshakes;
		sum.tls_failures += one.tls_failures;
		sum.half_open += one.half_open;
		sum.kept += one.kept;
		sum.bad_requests += one.bad_requests;
		sum.timeouts += one.timeouts;
		sum.open += one.open;
		sum.active += one.active;
	}
	gauge(s, &d_conns, sum.open);
	gauge(s, &d_active, sum.active);
	gauge(s, &d_half_open, sum.half_open);
	gauge(s, &d_kept, (double)sum.kept);
	gauge(s, &d_upstream, upstream);
	snapshot_add(s, METER_COUNTER, &d_accepted, (double)sum.connections, NULL, 0);
	add_refused(s, "connections", sum.refused);
	add_refused(s, "address", sum.refused_address);
	add_refused(s, "descriptors", sum.refused_files);
	snapshot_add(s, METER_COUNTER, &d_shed, (double)sum.shed, NULL, 0);
	add_tls(s, h, sum.handshakes, sum.tls_failures);
	snapshot_add(s, METER_COUNTER, &d_bad_req, (double)sum.bad_requests, NULL, 0);
	snapshot_add(s, METER_COUNTER, &d_timeouts, (double)sum.timeouts, NULL, 0);
}

static void all(struct meter_snapshot *s, void *arg)
{
	struct procmeters *p = arg;
	struct host *h = p->h;

	gauge(s, &d_uptime, (double)(clock_mono() - h->started) / 1e6);
	gauge(s, &d_start, (double)h->started_at / 1e3);
	if (h->is_ready)
		gauge(s, &d_ready, (double)h->ready_after / 1e6);
	add_cpu(s, p);
	add_memory(s);
	add_system(s, p);
	add_log(s, h);
	add_reload(s, h->control);
	add_jobs(s, h->dns_lane, "dns");
	add_servers(s, h);
}

void procmeters_add(struct host *h)
{
	struct procmeters *p = xzalloc(sizeof(*p));

	p->h = h;
	read_cpu(&p->now);
	h->procmeters = p; /* freed with the host */
	meters_source(h->meters, all, p);
}
