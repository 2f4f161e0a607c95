/* journal.c - see journal.h. */
#include "registry/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "eureka/json.h"

#define MAGIC "vine registry 1\n"
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define BODY_MAX (4u << 20) /* an instance at its limits, each byte escaped, is far below */
#define HEAD_LEN 8

/* --- numbers --- */

static void put_u32(char *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (char)(v >> 8 * i);
}

static uint64_t get(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)(uint8_t)p[i] << 8 * i;
	return v;
}

static uint32_t crc_of(const char *p, size_t n)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)p, n);
}

/* --- writing records --- */

static size_t record_begin(struct buf *b)
{
	buf_add(b, "\0\0\0\0\0\0\0\0", HEAD_LEN);
	return b->len;
}

static void record_end(struct buf *b, size_t body)
{
	if (b->failed)
		return;
	put_u32(b->ptr + body - HEAD_LEN, (uint32_t)(b->len - body));
	put_u32(b->ptr + body - 4, crc_of(b->ptr + body, b->len - body));
}

void journal_put(struct buf *b, const struct entry *e)
{
	size_t body = record_begin(b);
	struct jsonw w;

	buf_addc(b, 'P');
	buf_addc(b, (char)e->lease->reported);
	jsonw_init(&w, b);
	instance_json_write(&w, e->inst);
	record_end(b, body);
}

void journal_del(struct buf *b, struct str app, struct str id)
{
	size_t body = record_begin(b);

	buf_addc(b, 'D');
	buf_addc(b, (char)app.len);
	buf_addc(b, (char)(app.len >> 8));
	buf_adds(b, app);
	buf_adds(b, id);
	record_end(b, body);
}

void journal_override(struct buf *b, struct str id, enum inst_status s, msec until)
{
	size_t body = record_begin(b);

	buf_addc(b, 'O');
	buf_addc(b, (char)s);
	for (unsigned i = 0; i < 8; i++)
		buf_addc(b, (char)((uint64_t)until >> 8 * i));
	buf_adds(b, id);
	record_end(b, body);
}

/* --- the file --- */

static int write_all(int fd, struct str s, uint64_t at)
{
	while (s.len) {
		ssize_t n = pwrite(fd, s.ptr, s.len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return VINE_EIO;
		}
		at += (uint64_t)n;
		s = str_slice(s, (size_t)n, s.len);
	}
	return 0;
}

int journal_append(struct journal *j, struct str records, struct err *e)
{
	if (write_all(j->fd, records, j->size) < 0) {
		int r = err_errno(e, "cannot write the snapshot");

		/* what was written of it goes; if even that fails, reading will end there */
		if (ftruncate(j->fd, (off_t)j->size) < 0)
			return r;
		return r;
	}
	j->size += records.len;
	return 0;
}

int journal_sync(struct journal *j, struct err *e)
{
	struct stat st;

	if (fdatasync(j->fd) < 0)
		return err_errno(e, "cannot sync the snapshot");
	if (fstat(j->fd, &st) == 0 && st.st_nlink == 0)
		return err_set(e, VINE_EIO, "the snapshot was removed by somebody");
	return 0;
}

int journal_create(struct journal *j, const char *path, struct err *e)
{
	struct journal n = { .fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640) };
	int r;

	if (n.fd < 0)
		return err_errno(e, "cannot make %s", path);
	r = journal_append(&n, STR(MAGIC), e);
	if (r < 0)
		journal_close(&n);
	else
		*j = n;
	return r;
}

int journal_rename(const char *from, const char *to, struct err *e)
{
	char folder[512];
	int fd, r;

	if (rename(from, to) < 0)
		return err_errno(e, "cannot rename %s", from);
	snprintf(folder, sizeof(folder), "%s", to);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "cannot open the folder of %s", to);
	r = fsync(fd) < 0 ? err_errno(e, "cannot sync the folder of %s", to) : 0;
	close(fd);
	return r;
}

void journal_close(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	*j = JOURNAL_NONE;
}

/* --- reading --- */

/* An instance that is or was there. */
struct slot {
	struct str key;
	uint32_t at, size; /* in content->entry, NULL there: it has gone; bytes of its record */
	char bytes[];
};

static struct slot *slot_of(struct journal_content *c, struct str app, struct str id)
{
	char room[INST_NAME_MAX + INST_ID_MAX + 2];
	struct str key;
	struct slot *s;

	if (app.len + id.len + 1 > sizeof(room))
		return NULL;
	memcpy(room, app.ptr, app.len);
	room[app.len] = '/';
	if (id.len)
		memcpy(room + app.len + 1, id.ptr, id.len);
	key = str_of(room, app.len + 1 + id.len);
	s = map_get(&c->by_key, key);
	if (s)
		return s;
	s = xzalloc(sizeof(*s) + key.len);
	memcpy(s->bytes, key.ptr, key.len);
	s->key = str_of(s->bytes, key.len);
	s->at = c->n;
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 1024;
		c->entry = xrealloc(c->entry, c->room * sizeof(struct entry *));
	}
	c->entry[c->n++] = NULL;
	map_put(&c->by_key, s->key, s);
	return s;
}

static void slot_set(struct journal_content *c, struct slot *s, struct entry *e, size_t size)
{
	entry_unref(c->entry[s->at]);
	c->entry[s->at] = e;
	c->live_bytes = c->live_bytes - s->size + size;
	s->size = (uint32_t)size;
}

/* It has come, or gone, since: what holds now stands in its own record, or behind this one. */
static void end_override(struct journal_content *c, struct str id)
{
	struct journal_override *o = map_get(&c->by_id, id);

	if (o)
		o->until = 0;
}

static void read_put(struct journal_content *c, struct str body, struct arena *a, usec now)
{
	struct instance d;
	struct json j;
	struct slot *s;
	uint8_t reported = (uint8_t)body.ptr[1];

	json_init(&j, str_slice(body, 2, body.len), INST_DEPTH_MAX, a);
	if (!instance_json_read(&j, &d, a, NULL) || json_finish(&j, NULL) < 0 || !d.app.len || !d.id.len)
		return; /* its checksum is right: it is of a later version that says more */
	s = slot_of(c, d.app, d.id);
	if (!s)
		return;
	d.coordinating = false; /* that process has ended */

	struct instance *in = instance_new(&d);
	struct lease *l = lease_new(in, reported < INST_STATUS_COUNT ? (enum inst_status)reported : INST_UP, now);

	l->restored = true;
	end_override(c, in->id);
	slot_set(c, s, entry_new(in, l), body.len + HEAD_LEN);
}

static void read_override(struct journal_content *c, struct str body)
{
	uint8_t status = (uint8_t)body.ptr[1];
	struct str id = str_slice(body, 10, body.len);
	struct journal_override *o = map_get(&c->by_id, id);

	if (status >= INST_STATUS_COUNT)
		return;
	if (!o) {
		o = arena_zalloc(&c->arena, sizeof(*o));
		o->id = str_dup_in(&c->arena, id);
		o->next = c->overrides;
		c->overrides = o;
		map_put(&c->by_id, o->id, o);
	}
	o->status = (enum inst_status)status;
	o->until = (msec)get(body.ptr + 2, 8);
}

static void read_del(struct journal_content *c, struct str body)
{
	size_t app = (size_t)get(body.ptr + 1, 2);
	struct str id;
	struct slot *s;

	if (app + 3 > body.len)
		return;
	id = str_slice(body, 3 + app, body.len);
	end_override(c, id);
	s = slot_of(c, str_slice(body, 3, 3 + app), id);
	if (s)
		slot_set(c, s, NULL, 0);
}

static void read_body(struct journal_content *c, struct str body, struct arena *a, usec now)
{
	c->records++;
	if (body.ptr[0] == 'P' && body.len > 2) {
		read_put(c, body, a, now);
		arena_reset(a);
	} else if (body.ptr[0] == 'D' && body.len >= 3) {
		read_del(c, body);
	} else if (body.ptr[0] == 'O' && body.len > 10) {
		read_override(c, body);
	}
}

/* Only what is there, without gaps. */
static void squeeze(struct journal_content *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->entry[i])
			c->entry[kept++] = c->entry[i];
	}
	c->n = kept;
}

static void forget_slots(struct journal_content *c)
{
	size_t pos = 0;

	for (struct slot *s; (s = map_next(&c->by_key, &pos));)
		free(s);
	map_fini(&c->by_key);
	map_fini(&c->by_id);
}

size_t journal_parse(struct journal_content *c, struct str bytes, uint64_t seed, usec now)
{
	const char *p = bytes.ptr;
	size_t n = bytes.len, at = MAGIC_LEN;
	struct arena a;

	*c = (struct journal_content){ 0 };
	if (!str_has_prefix(bytes, STR(MAGIC)))
		return 0;
	arena_init(&a, 16384);
	arena_init(&c->arena, 4096);
	map_init(&c->by_key, seed);
	map_init(&c->by_id, seed);
	while (n - at >= HEAD_LEN) {
		size_t len = (size_t)get(p + at, 4);

		if (len == 0 || len > BODY_MAX || len > n - at - HEAD_LEN ||
		    crc_of(p + at + HEAD_LEN, len) != get(p + at + 4, 4))
			break;
		read_body(c, str_of(p + at + HEAD_LEN, len), &a, now);
		at += HEAD_LEN + len;
	}
	arena_fini(&a);
	forget_slots(c);
	squeeze(c);
	return at;
}

void journal_content_fini(struct journal_content *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		entry_unref(c->entry[i]);
	free(c->entry);
	arena_fini(&c->arena);
	*c = (struct journal_content){ 0 };
}

static int load(struct journal *j, struct journal_content *c, uint64_t seed, usec now, struct err *e)
{
	struct stat st;
	char *p;

	if (fstat(j->fd, &st) < 0)
		return err_errno(e, "cannot read the snapshot");
	if (st.st_size == 0)
		return err_set(e, VINE_EPROTO, "the snapshot is empty");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, j->fd, 0);
	if (p == MAP_FAILED)
		return err_errno(e, "cannot read the snapshot");
	j->size = journal_parse(c, str_of(p, (size_t)st.st_size), seed, now);
	munmap(p, (size_t)st.st_size);
	if (j->size == 0)
		return err_set(e, VINE_EPROTO, "the snapshot does not begin as this version writes it");
	c->lost_bytes = (uint64_t)st.st_size - j->size;
	return c->lost_bytes && ftruncate(j->fd, (off_t)j->size) < 0 ? err_errno(e, "cannot mend the snapshot") : 0;
}

int journal_open(struct journal *j, const char *path, struct journal_content *ret, uint64_t seed, usec now,
		 struct err *e)
{
	struct journal n = { .fd = open(path, O_RDWR | O_CLOEXEC) };
	struct journal_content c = { 0 };
	int r;

	if (n.fd < 0)
		return errno == ENOENT ? err_set(e, VINE_ENOTFOUND, "there is no %s", path)
				       : err_errno(e, "cannot open %s", path);
	r = load(&n, &c, seed, now, e);
	if (r < 0) {
		journal_content_fini(&c);
		journal_close(&n);
		return r;
	}
	*ret = c;
	*j = n;
	return 0;
}
