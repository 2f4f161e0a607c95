/* load.c - see load.h. */
#include "props/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "codec/properties.h"
#include "codec/yaml.h"
#include "props/relax.h"

#define PROFILES_MAX 32
#define SOURCES_MAX 512
#define IMPORT_DEPTH_MAX 8
#define WARNINGS_MAX 16

struct loader {
	struct arena a;
	struct prop_source source[SOURCES_MAX]; /* weakest first while files are gathered */
	size_t n;
	struct str profile[PROFILES_MAX];
	size_t n_profiles;
	bool profiles_given; /* by the command line or the environment */
	struct load_files *files;
	struct err *e;
	struct str latin1[WARNINGS_MAX]; /* files that look like UTF-8 but are not read as such */
	size_t n_latin1;
};

void load_files_fini(struct load_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->path[i]);
	f->n = 0;
}

uint64_t load_files_stamp(const struct load_files *f)
{
	uint64_t h = f->n;

	for (size_t i = 0; i < f->n; i++)
		h = h * 31 + file_stamp(f->path[i]);
	return h;
}

/* --- profiles --- */

static void add_profiles(struct loader *l, struct str list)
{
	struct str piece;

	while (str_cut(&list, ',', &piece)) {
		bool known = false;

		piece = str_trim(piece);
		for (size_t i = 0; i < l->n_profiles; i++)
			known = known || str_eq(l->profile[i], piece);
		if (piece.len && !known && l->n_profiles < PROFILES_MAX)
			l->profile[l->n_profiles++] = str_dup_in(&l->a, piece);
	}
}

static bool profile_is_active(const struct loader *l, struct str name)
{
	if (l->n_profiles == 0)
		return str_eq(name, STR("default"));
	for (size_t i = 0; i < l->n_profiles; i++) {
		if (str_eq(l->profile[i], name))
			return true;
	}
	return false;
}

/* a & !b | (c), commas mean "or". */
static bool eval_or(const struct loader *l, struct str *s, unsigned depth);

static bool eval_term(const struct loader *l, struct str *s, unsigned depth)
{
	size_t n = 0;
	bool r;

	*s = str_trim(*s);
	if (depth > 32 || s->len == 0)
		return false;
	if (s->ptr[0] == '!') {
		*s = str_slice(*s, 1, s->len);
		return !eval_term(l, s, depth + 1);
	}
	if (s->ptr[0] == '(') {
		*s = str_slice(*s, 1, s->len);
		r = eval_or(l, s, depth + 1);
		*s = str_trim(*s);
		*s = str_slice(*s, s->len && s->ptr[0] == ')', s->len);
		return r;
	}
	while (n < s->len && !strchr("&|,!()", s->ptr[n]))
		n++;
	r = profile_is_active(l, str_trim(str_slice(*s, 0, n)));
	*s = str_slice(*s, n, s->len);
	return r;
}

static bool eval_and(const struct loader *l, struct str *s, unsigned depth)
{
	bool r = eval_term(l, s, depth);

	for (*s = str_trim(*s); s->len && s->ptr[0] == '&'; *s = str_trim(*s)) {
		*s = str_slice(*s, 1, s->len);
		r = eval_term(l, s, depth) && r;
	}
	return r;
}

static bool eval_or(const struct loader *l, struct str *s, unsigned depth)
{
	bool r = eval_and(l, s, depth);

	for (*s = str_trim(*s); s->len && (s->ptr[0] == '|' || s->ptr[0] == ','); *s = str_trim(*s)) {
		*s = str_slice(*s, 1, s->len);
		r = eval_and(l, s, depth) || r;
	}
	return r;
}

/* --- files --- */

/* One document of a file: a run of its items. */
struct doc {
	const struct flat_item *entry;
	size_t n;
};

static struct doc doc_at(const struct flat *f, size_t *pos)
{
	struct doc d = { .entry = f->items + *pos };

	while (*pos < f->len && f->items[*pos].doc == d.entry->doc) {
		++*pos;
		d.n++;
	}
	return d;
}

/* Does the item belong to the property, as its value or as a member of its list? */
static bool item_is(const struct flat_item *i, struct str name)
{
	ptrdiff_t open = str_chr(i->key, '[');

	return relax_eq(str_slice(i->key, 0, open < 0 ? i->key.len : (size_t)open), name);
}

/* Without a condition, or with one that is true; given as a list, one of them. */
static bool doc_is_active(const struct loader *l, const struct doc *d)
{
	bool any = false, none = true;

	for (size_t i = 0; i < d->n && !any; i++) {
		struct str expr = d->entry[i].value;

		if (expr.len && (item_is(&d->entry[i], STR("spring.config.activate.on-profile")) ||
				 item_is(&d->entry[i], STR("spring.profiles")))) {
			none = false;
			any = eval_or(l, &expr, 0);
		}
	}
	return any || none;
}

/* Profiles that a document switches on hold from the next document on. The command line's or the environment's choice
 * stands instead of the file's; what is included comes on top. */
static void profiles_of_doc(struct loader *l, const struct doc *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!l->profiles_given && item_is(&d->entry[i], STR("spring.profiles.active")))
			add_profiles(l, d->entry[i].value);
		else if (item_is(&d->entry[i], STR("spring.profiles.include")))
			add_profiles(l, d->entry[i].value);
	}
}

static int read_file(struct loader *l, const char *path, struct str *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct buf b = BUF_INIT(FLAT_TEXT_MAX);
	ssize_t n = 1;

	if (fd < 0)
		return err_errno(l->e, "cannot read '%s'", path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		errno = EISDIR;
		return err_errno(l->e, "cannot read '%s'", path);
	}
	while (n > 0 && buf_reserve(&b, 65536)) {
		n = read(fd, b.ptr + b.len, 65536);
		if (n > 0)
			b.len += (size_t)n;
	}
	close(fd);
	if (b.failed)
		err_set(l->e, VINE_ELIMIT, "'%s' is larger than %u MiB", path, (unsigned)(FLAT_TEXT_MAX >> 20));
	else if (n < 0)
		err_errno(l->e, "cannot read '%s'", path);
	*ret = str_dup_in(&l->a, buf_str(&b));

	int r = b.failed ? VINE_ELIMIT : n < 0 ? VINE_EIO : 0;

	buf_fini(&b);
	return r;
}

static int parse_file(struct loader *l, const char *path, struct flat *f)
{
	struct str text = STR_EMPTY;
	int r;

	if (l->files && l->files->n < LOAD_FILES_MAX)
		l->files->path[l->files->n++] = xstrdup(path);
	r = read_file(l, path, &text);

	if (r < 0)
		return r;
	flat_init(f, &l->a);
	if (str_has_suffix(str_from(path), STR(".properties")))
		r = properties_read(f, text, false, l->e);
	else
		r = yaml_read(f, text, l->e);
	if (f->looks_utf8 && l->n_latin1 < WARNINGS_MAX)
		l->latin1[l->n_latin1++] = str_dup_in(&l->a, str_from(path));
	if (r < 0 && l->e) {
		char what[ERR_TEXT_MAX];

		memcpy(what, l->e->text, sizeof(what));
		return err_set(l->e, r, "%.200s:%.300s", path, what);
	}
	return r;
}

static int add_source(struct loader *l, const char *path, const struct doc *d)
{
	struct prop_source *s = &l->source[l->n];

	if (l->n == SOURCES_MAX - 2)
		return err_set(l->e, VINE_ELIMIT, "%s: too many documents", path);
	*s = (struct prop_source){ .name = str_dup_in(&l->a, str_from(path)) };
	s->entry = arena_alloc(&l->a, MAX(d->n, (size_t)1) * sizeof(*s->entry));
	for (size_t i = 0; i < d->n; i++)
		s->entry[s->n++] = (struct prop_entry){ d->entry[i].key, d->entry[i].value, d->entry[i].line, d->entry[i].col };
	l->n++;
	return 0;
}

static int load_file(struct loader *l, const char *path, unsigned depth);

static int import_one(struct loader *l, const char *from, struct str what, unsigned depth)
{
	bool optional = str_has_prefix(what, STR("optional:"));
	ptrdiff_t slash = str_rchr(str_from(from), '/');

	if (optional)
		what = str_slice(what, strlen("optional:"), what.len);
	if (str_has_prefix(what, STR("configserver:")))
		return 0; /* the config client's business */
	if (str_has_prefix(what, STR("file:")))
		what = str_slice(what, strlen("file:"), what.len);
	if (what.len == 0)
		return 0;

	struct str path = what.ptr[0] == '/' || slash < 0 ? str_dup_in(&l->a, what)
							  : str_printf_in(&l->a, "%.*s%.*s", (int)slash + 1, from, STRF(what));

	if (optional && access(path.ptr, F_OK) < 0)
		return 0;
	return load_file(l, path.ptr, depth + 1);
}

static int import_all(struct loader *l, const char *path, const struct doc *d, unsigned depth)
{
	int r = 0;

	for (size_t i = 0; i < d->n && r == 0; i++) {
		struct str rest = d->entry[i].value, piece;

		if (!item_is(&d->entry[i], STR("spring.config.import")))
			continue;
		while (r == 0 && str_cut(&rest, ',', &piece))
			r = import_one(l, path, str_trim(piece), depth);
	}
	return r;
}

static int load_file(struct loader *l, const char *path, unsigned depth)
{
	struct flat f;
	int r;

	if (depth > IMPORT_DEPTH_MAX)
		return err_set(l->e, VINE_ELIMIT, "%s: imports nested too deeply", path);
	r = parse_file(l, path, &f);
	for (size_t pos = 0; r == 0 && pos < f.len;) {
		struct doc d = doc_at(&f, &pos);

		if (!doc_is_active(l, &d))
			continue;
		if (depth == 0)
			profiles_of_doc(l, &d);
		r = add_source(l, path, &d);
		if (r == 0)
			r = import_all(l, path, &d, depth);
	}
	return r;
}

/* "dir/application.yml" and profile "dev": "dir/application-dev.yml", if it is there. */
static int load_profiles(struct loader *l, const char *path)
{
	struct str whole = str_from(path);
	ptrdiff_t dot = str_rchr(whole, '.');
	int r = 0;

	if (dot < 0 || dot < str_rchr(whole, '/'))
		dot = (ptrdiff_t)whole.len;
	for (size_t i = 0; i < l->n_profiles && r == 0; i++) {
		struct str p = str_printf_in(&l->a, "%.*s-%.*s%s", (int)dot, path, STRF(l->profile[i]), path + dot);

		if (str_chr(l->profile[i], '/') < 0 && access(p.ptr, F_OK) == 0)
			r = load_file(l, p.ptr, 1);
	}
	return r;
}

static const char *find_file(void)
{
	static const char *const places[] = {
		"vine.yml",          "application.yml",        "application.yaml",        "application.properties",
		"config/vine.yml",   "config/application.yml", "config/application.yaml", "config/application.properties",
		"/etc/vine/vine.yml",
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (access(places[i], F_OK) == 0)
			return places[i];
	}
	return NULL;
}

/* --- the strong sources --- */

static struct prop_source args_source(struct loader *l, const struct load_opts *o)
{
	struct prop_source s = { .name = STR("commandLine") };

	s.entry = arena_alloc(&l->a, MAX(o->n_args, (size_t)1) * sizeof(*s.entry));
	for (size_t i = o->n_args; i-- > 0;) { /* the last one given is the strongest */
		struct str arg = str_from(o->args[i]);
		ptrdiff_t eq;

		if (str_has_prefix(arg, STR("--")))
			arg = str_slice(arg, 2, arg.len);
		eq = str_chr(arg, '=');
		s.entry[s.n++] = (struct prop_entry){
			.name = eq < 0 ? arg : str_slice(arg, 0, (size_t)eq),
			.value = eq < 0 ? STR("true") : str_slice(arg, (size_t)eq + 1, arg.len),
		};
	}
	return s;
}

static struct prop_source env_source(struct loader *l, const struct load_opts *o)
{
	struct prop_source s = { .name = STR("systemEnvironment"), .env = true };
	size_t n = 0;

	while (o->env && o->env[n])
		n++;
	s.entry = arena_alloc(&l->a, MAX(n, (size_t)1) * sizeof(*s.entry));
	for (size_t i = 0; i < n; i++) {
		struct str e = str_from(o->env[i]);
		ptrdiff_t eq = str_chr(e, '=');

		if (eq > 0)
			s.entry[s.n++] = (struct prop_entry){ .name = str_slice(e, 0, (size_t)eq), .value = str_slice(e, (size_t)eq + 1, e.len) };
	}
	return s;
}

static void profiles_from(struct loader *l, const struct prop_source *s)
{
	for (size_t i = 0; i < s->n; i++) {
		bool is = s->env ? relax_env_eq(s->entry[i].name, STR("spring.profiles.active"))
				 : relax_eq(s->entry[i].name, STR("spring.profiles.active"));

		if (is) {
			add_profiles(l, s->entry[i].value);
			return;
		}
	}
}

static int load_all(struct loader *l, const struct load_opts *o, struct props **ret)
{
	struct prop_source args = args_source(l, o), env = env_source(l, o);
	const char *path = o->config ? o->config : find_file();
	int r = 0;

	profiles_from(l, &args);
	if (l->n_profiles == 0)
		profiles_from(l, &env);
	l->profiles_given = l->n_profiles > 0;
	if (path)
		r = load_file(l, path, 0);
	if (r == 0 && path)
		r = load_profiles(l, path);
	if (r < 0)
		return r;
	l->source[l->n++] = env;
	l->source[l->n++] = args;
	for (size_t i = 0; i < l->n / 2; i++) { /* strongest first */
		struct prop_source t = l->source[i];

		l->source[i] = l->source[l->n - 1 - i];
		l->source[l->n - 1 - i] = t;
	}
	*ret = props_build(l->source, l->n, l->profile, l->n_profiles);
	for (size_t i = 0; i < l->n_latin1; i++)
		props_add_finding(*ret, FINDING_WARNING,
				  str_printf_in(&l->a, "%.*s: looks like UTF-8, but .properties are ISO-8859-1; write \\uXXXX, or YAML",
						STRF(l->latin1[i])));
	return 0;
}

int props_load(struct props **ret, const struct load_opts *opts, struct load_files *files, struct err *e)
{
	struct loader *l = xzalloc(sizeof(*l));

	l->files = files;
	l->e = e;
	arena_init(&l->a, 16 * 1024);

	int r = load_all(l, opts, ret);

	arena_fini(&l->a);
	free(l);
	return r;
}
