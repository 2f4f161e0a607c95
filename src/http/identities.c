/* identities.c - see identities.h. */
#include "http/identities.h"

#include <pthread.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "net/tls.h"
#include "props/props.h"

#define SCOPE_MAX 300
#define SOON (14 * 24 * 3600)
#define IDENTITIES_MAX 4096

enum kind { KIND_SERVER, KIND_CLIENT, KIND_RIBBON };

struct identity {
	struct identity *next;
	struct tls *tls;
	enum kind kind;
	bool any_name;  /* by zuul.ssl-hostname-validation-enabled */
	char key[SCOPE_MAX];
	char scope[SCOPE_MAX];
	uint64_t stamp;      /* of its files, as they were last read */
	uint64_t next_stamp; /* of those that were prepared, once they are in force */
	uint64_t seen;       /* at the last look */
	bool prepared;
};

struct identities {
	pthread_mutex_t lock; /* guards the list */
	struct identity *first;
	size_t n;
};

/* --- from properties to settings --- */

static struct str value_of(const struct props *p, const char *scope, const char *name)
{
	char full[SCOPE_MAX + 64];

	snprintf(full, sizeof(full), "%s.%s", scope, name);
	return props_str(p, full);
}

static bool is_true(const struct props *p, const char *scope, const char *name)
{
	char full[SCOPE_MAX + 64];

	snprintf(full, sizeof(full), "%s.%s", scope, name);
	return props_bool(p, full);
}

static bool is_set(const struct props *p, const char *scope, const char *name)
{
	char full[SCOPE_MAX + 64];

	snprintf(full, sizeof(full), "%s.%s", scope, name);
	return props_is_set(p, full, STR_EMPTY, false);
}

/* Settings with the room for the texts that stand nowhere as they are needed. */
struct reading {
	struct tls_settings s;
	char protocols[64], ciphers[2048];
};

/* The members of a list, with commas. Too many to write down are too many to mean. */
static struct str list_of(const struct props *p, const char *scope, const char *name, char *room, size_t n)
{
	struct buf b = { .ptr = room, .cap = n, .max = n };
	char full[SCOPE_MAX + 64];
	struct str member[64];
	size_t found;

	snprintf(full, sizeof(full), "%s.%s", scope, name);
	found = props_list(p, full, STR_EMPTY, member, ARRAY_LEN(member));
	for (size_t i = 0; i < found; i++) {
		buf_adds(&b, str_trim(member[i]));
		buf_addc(&b, ',');
	}
	return buf_str(&b);
}

/* What listeners and clients have in common. */
static struct tls_settings settings_of(const struct props *p, const char *scope)
{
	return (struct tls_settings){
		.scope = scope,
		.certificate = value_of(p, scope, "certificate"),
		.key = value_of(p, scope, "certificate-private-key"),
		.trust = value_of(p, scope, "trust-certificate"),
		.key_store = value_of(p, scope, "key-store"),
		.key_alias = value_of(p, scope, "key-alias"),
		.trust_store = value_of(p, scope, "trust-store"),
		.key_store_password = value_of(p, scope, "key-store-password"),
		.key_password = value_of(p, scope, "key-password"),
		.trust_store_password = value_of(p, scope, "trust-store-password"),
	};
}

static void server_settings(struct reading *r, const struct props *p, const char *scope)
{
	struct str auth = value_of(p, scope, "client-auth");

	r->s = settings_of(p, scope);
	r->s.server = true;
	r->s.protocols = list_of(p, scope, "enabled-protocols", r->protocols, sizeof(r->protocols));
	r->s.ciphers = list_of(p, scope, "ciphers", r->ciphers, sizeof(r->ciphers));
	if (str_eq_nocase(auth, STR("need")))
		r->s.client_auth = TLS_AUTH_NEED;
	else if (str_eq_nocase(auth, STR("want")))
		r->s.client_auth = TLS_AUTH_WANT;
}

static struct tls_settings client_settings(const struct props *p, const char *scope, bool any_name)
{
	struct tls_settings s = settings_of(p, scope);

	s.any_name = any_name || !is_true(p, scope, "verify-hostname");
	return s;
}

#define R "{client}.ribbon."

static struct tls_settings ribbon_settings(const struct props *p, const char *scope, bool any_name)
{
	struct str client = str_slice(str_from(scope), 0, strlen(scope) - strlen(".ribbon"));
	struct tls_settings s = client_settings(p, "vine.tls", any_name);

	s.scope = scope;
	if (props_is_set(p, R "KeyStore", client, true)) {
		s.certificate = s.key = s.key_alias = s.key_password = STR_EMPTY;
		s.key_store = props_str_of(p, R "KeyStore", client);
		s.key_store_password = props_str_of(p, R "KeyStorePassword", client);
	}
	if (props_is_set(p, R "TrustStore", client, true)) {
		s.trust = STR_EMPTY;
		s.trust_store = props_str_of(p, R "TrustStore", client);
		s.trust_store_password = props_str_of(p, R "TrustStorePassword", client);
	}
	if (props_is_set(p, R "IsHostnameValidationRequired", client, true))
		s.any_name = !props_bool_of(p, R "IsHostnameValidationRequired", client);
	return s;
}

static bool ribbon_has_own(const struct props *p, struct str client)
{
	return props_is_set(p, R "KeyStore", client, true) || props_is_set(p, R "TrustStore", client, true) ||
	       props_is_set(p, R "IsHostnameValidationRequired", client, true);
}

static void read_settings(struct reading *r, const struct identity *id, const struct props *p)
{
	switch (id->kind) {
	case KIND_SERVER: server_settings(r, p, id->scope); break;
	case KIND_CLIENT: r->s = client_settings(p, id->scope, id->any_name); break;
	case KIND_RIBBON: r->s = ribbon_settings(p, id->scope, id->any_name); break;
	}
}

static bool names_files(const struct tls_settings *s)
{
	return s->server || s->certificate.len || s->key.len || s->key_store.len || s->trust.len || s->trust_store.len;
}

/* --- the table --- */

struct identities *identities_new(void)
{
	struct identities *ids = xzalloc(sizeof(*ids));

	pthread_mutex_init(&ids->lock, NULL);
	return ids;
}

void identities_free(struct identities *ids)
{
	if (!ids)
		return;
	for (struct identity *id; (id = ids->first);) {
		ids->first = id->next;
		tls_unref(id->tls);
		free(id);
	}
	pthread_mutex_destroy(&ids->lock);
	free(ids);
}

/* Caller holds the lock. */
static int add(struct identities *ids, const struct props *p, const struct identity *like, struct identity **ret, struct err *e)
{
	struct identity *id, **end = &ids->first;
	struct reading rd;
	int r;

	if (ids->n >= IDENTITIES_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d clients with TLS stores of their own", IDENTITIES_MAX);
	while (*end)
		end = &(*end)->next;
	id = xzalloc(sizeof(*id));
	*id = *like;
	read_settings(&rd, id, p);
	id->stamp = id->seen = tls_files_stamp(&rd.s); /* before reading: what changes meanwhile is seen */
	r = tls_new(&id->tls, &rd.s, names_files(&rd.s), e);
	if (r < 0) {
		free(id);
		return r;
	}
	ids->n++;
	*ret = *end = id;
	return 0;
}

static int get(struct identities *ids, const struct props *p, const struct identity *like, struct tls **ret, struct err *e)
{
	struct identity *id;
	int r = 0;

	pthread_mutex_lock(&ids->lock);
	for (id = ids->first; id && strcmp(id->key, like->key) != 0;)
		id = id->next;
	if (!id)
		r = add(ids, p, like, &id, e);
	if (r == 0) {
		assert(id);
		*ret = id->tls;
	}
	pthread_mutex_unlock(&ids->lock);
	return r;
}

static struct identity like(enum kind kind, const char *key, const char *scope)
{
	struct identity id = { .kind = kind };

	snprintf(id.key, sizeof(id.key), "%s", key);
	snprintf(id.scope, sizeof(id.scope), "%s", scope);
	return id;
}

/* In Boot TLS is on as soon as a key is named, unless it says enabled: false. A management port without words of its own
 * does as the other does. */
static bool is_on(const struct props *p, const char *scope)
{
	if (is_set(p, scope, "enabled"))
		return is_true(p, scope, "enabled");
	return value_of(p, scope, "certificate").len || value_of(p, scope, "key-store").len ||
	       value_of(p, scope, "certificate-private-key").len;
}

bool identities_listens(const struct props *p)
{
	return is_on(p, "server.ssl");
}

int identities_server(struct identities *ids, const struct props *p, const char *scope, struct tls **ret, struct err *e)
{
	bool own = is_set(p, scope, "enabled") || is_on(p, scope);
	struct identity id;

	if (!own && strcmp(scope, "server.ssl") != 0)
		scope = "server.ssl";
	*ret = NULL;
	if (!is_on(p, scope))
		return 0;
	id = like(KIND_SERVER, scope, scope);
	return get(ids, p, &id, ret, e);
}

int identities_registry(struct identities *ids, const struct props *p, struct tls **ret, struct err *e)
{
	const char *scope = props_bool(p, "eureka.client.tls.enabled") ? "eureka.client.tls" : "vine.tls";
	struct identity id = like(KIND_CLIENT, scope, scope);

	return get(ids, p, &id, ret, e);
}

int identities_ribbon(struct identities *ids, const struct props *p, struct str client, bool of_url, struct tls **ret, struct err *e)
{
	bool any_name = of_url && !props_bool(p, "zuul.ssl-hostname-validation-enabled");
	char scope[SCOPE_MAX] = "vine.tls", key[SCOPE_MAX];
	bool own = ribbon_has_own(p, client);

	if (own)
		snprintf(scope, sizeof(scope), "%.*s.ribbon", STRF(str_slice(client, 0, 255)));
	snprintf(key, sizeof(key), "%s%s", scope, any_name ? ", any name" : "");

	struct identity id = like(own ? KIND_RIBBON : KIND_CLIENT, key, scope);

	id.any_name = any_name;
	return get(ids, p, &id, ret, e);
}

/* Those of clients that have a store of their own. */
static int check_clients(struct identities *ids, const struct props *p, struct err *e)
{
	struct tls *t;
	int r = 0;

	for (size_t i = 0; r == 0 && i < props_count(p); i++) {
		const struct prop_value *v = props_at(p, i);

		if (v->desc && v->key.len && (strcmp(v->desc->name, R "KeyStore") == 0 || strcmp(v->desc->name, R "TrustStore") == 0))
			r = identities_ribbon(ids, p, v->key, false, &t, e);
	}
	return r;
}

int identities_check_registry(const struct props *p, struct err *e)
{
	struct identities *ids = identities_new();
	struct tls *t;
	int r = identities_registry(ids, p, &t, e);

	identities_free(ids);
	return r;
}

int identities_check(const struct props *p, struct err *e)
{
	struct identities *ids = identities_new();
	struct tls *t;
	int r = identities_server(ids, p, "server.ssl", &t, e);

	if (r == 0)
		r = identities_server(ids, p, "management.server.ssl", &t, e);
	if (r == 0)
		r = identities_registry(ids, p, &t, e);
	if (r == 0)
		r = identities_ribbon(ids, p, STR_EMPTY, false, &t, e);
	if (r == 0)
		r = check_clients(ids, p, e);
	identities_free(ids);
	return r;
}

/* --- reload --- */

static void forget(struct identity *id)
{
	tls_forget(id->tls);
	id->prepared = false;
}

int identities_prepare(struct identities *ids, const struct props *p, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&ids->lock);
	for (struct identity *id = ids->first; id; id = id->next)
		id->stamp = tls_stamp(id->tls); /* should this be refused, only another change calls for it again */
	for (struct identity *id = ids->first; r == 0 && id; id = id->next) {
		struct reading rd;

		read_settings(&rd, id, p);
		id->next_stamp = tls_files_stamp(&rd.s);
		id->prepared = true;
		r = tls_prepare(id->tls, &rd.s, names_files(&rd.s), e);
	}
	if (r < 0) {
		for (struct identity *id = ids->first; id; id = id->next)
			forget(id);
	}
	pthread_mutex_unlock(&ids->lock);
	return r;
}

static void for_all(struct identities *ids, void (*fn)(struct identity *id))
{
	pthread_mutex_lock(&ids->lock);
	for (struct identity *id = ids->first; id; id = id->next)
		fn(id);
	pthread_mutex_unlock(&ids->lock);
}

static void commit(struct identity *id)
{
	tls_commit(id->tls);
	if (id->prepared)
		id->stamp = id->next_stamp;
	id->prepared = false;
}

void identities_commit(struct identities *ids)
{
	for_all(ids, commit);
}

/* Also where it was refused before it came to the identities: then too only what changes after the last look calls for it again. */
static void refuse(struct identity *id)
{
	forget(id);
	id->stamp = id->seen;
}

void identities_forget(struct identities *ids)
{
	for_all(ids, refuse);
}

bool identities_changed(struct identities *ids)
{
	bool changed = false;

	pthread_mutex_lock(&ids->lock);
	for (struct identity *id = ids->first; id; id = id->next) {
		uint64_t now = tls_stamp(id->tls);

		changed = changed || (now != id->stamp && now == id->seen);
		id->seen = now;
	}
	pthread_mutex_unlock(&ids->lock);
	return changed;
}

/* --- telling --- */

bool identities_at(struct identities *ids, size_t i, struct str *scope, int64_t *seconds)
{
	struct identity *id;

	pthread_mutex_lock(&ids->lock);
	for (id = ids->first; id && i > 0; id = id->next)
		i--;
	pthread_mutex_unlock(&ids->lock);
	if (!id) /* they are only added, and stay where they are */
		return false;
	*scope = str_from(id->key);
	*seconds = tls_seconds_left(id->tls);
	return true;
}

void identities_tell(struct identities *ids, const struct logger *log)
{
	struct str scope;
	int64_t left;

	for (size_t i = 0; identities_at(ids, i, &scope, &left); i++) {
		if (left < 0)
			LOG(log, LOG_ERROR, "the certificate has expired", F_STR("of", scope), F_INT("hours_ago", -left / 3600));
		else if (left < SOON)
			LOG(log, LOG_WARN, "the certificate will expire", F_STR("of", scope), F_INT("hours", left / 3600));
	}
}
