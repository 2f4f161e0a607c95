/* auth.c - see auth.h. */
#include "registry/auth.h"

#include "manage/guard.h"
#include "props/props.h"

#define ENTRIES_MAX 256
#define TOKEN_MAX 1024
#define TELL_AGAIN USEC_PER_SEC

#define USERS "vine.registry.auth.users."
#define TOKENS "vine.registry.auth.tokens."
#define CERTIFICATES "vine.registry.auth.client-certificates"

struct basic {
	struct auth_creds creds;
	struct str who; /* "user ops" */
	bool used;
};

struct bearer {
	struct str token, who;
	bool used;
};

struct reg_auth {
	struct arena arena;
	struct basic *users;
	struct bearer *tokens;
	struct str *names; /* patterns: "dns:*.example" */
	size_t n_users, n_tokens, n_names;
	usec told; /* of refusals */
	uint64_t untold;
};

/* --- what is configured --- */

static int add_user(struct reg_auth *a, struct str name, struct str password, struct err *e)
{
	struct basic *b = &a->users[a->n_users];

	if (!auth_plain_password(&password))
		return err_set(e, VINE_EINVAL, "the password of user %.*s is hashed: only plain ones ({noop}...) can be compared",
			       STRF(str_slice(name, 0, 64)));
	if (password.len == 0)
		return err_set(e, VINE_EINVAL, "the password of user %.*s is empty: with it anybody would be let in",
			       STRF(str_slice(name, 0, 64)));
	if (a->n_users > ENTRIES_MAX)
		return err_set(e, VINE_ELIMIT, USERS "*: more than %d", ENTRIES_MAX);
	if (name.len == 0 || str_chr(name, ':') >= 0 || auth_creds_set(&b->creds, name, password) < 0)
		return err_set(e, VINE_EINVAL, "the user %.*s: a name without a colon and a password, together at most %d bytes",
			       STRF(str_slice(name, 0, 64)), AUTH_TOKEN_MAX / 4 * 3 - 1);
	b->who = str_printf_in(&a->arena, "user %.*s", STRF(name));
	a->n_users++;
	return 0;
}

static int read_users(struct reg_auth *a, const struct props *p, struct err *e)
{
	struct str *key = arena_alloc(&a->arena, (ENTRIES_MAX + 1) * sizeof(*key));
	size_t n = props_keys(p, USERS, key, ENTRIES_MAX + 1);
	struct str password = props_str(p, "spring.security.user.password");
	int r = password.len ? add_user(a, props_str(p, "spring.security.user.name"), password, e) : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_user(a, key[i], props_str_of(p, USERS "{user}", key[i]), e);
	return r;
}

static bool is_token(struct str t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (t.ptr[i] <= 0x20 || t.ptr[i] >= 0x7f)
			return false;
	}
	return t.len > 0 && t.len <= TOKEN_MAX;
}

static int read_tokens(struct reg_auth *a, const struct props *p, struct err *e)
{
	struct str *key = arena_alloc(&a->arena, (ENTRIES_MAX + 1) * sizeof(*key));
	size_t n = props_keys(p, TOKENS, key, ENTRIES_MAX + 1);

	if (n > ENTRIES_MAX)
		return err_set(e, VINE_ELIMIT, TOKENS "*: more than %d", ENTRIES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct str token = str_trim(props_str_of(p, TOKENS "{name}", key[i]));

		if (!is_token(token))
			return err_set(e, VINE_EINVAL, TOKENS "%.*s: 1 to %d printable characters without a space",
				       STRF(str_slice(key[i], 0, 64)), TOKEN_MAX);
		a->tokens[a->n_tokens++] = (struct bearer){
			.token = str_dup_in(&a->arena, token),
			.who = str_printf_in(&a->arena, "token %.*s", STRF(key[i])),
		};
	}
	return 0;
}

static int read_names(struct reg_auth *a, const struct props *p, struct err *e)
{
	static const char *const kinds[] = { "subject:", "dns:", "uri:", "ip:", "email:" };
	struct str *list = arena_alloc(&a->arena, ENTRIES_MAX * sizeof(*list));
	size_t n = props_list(p, CERTIFICATES, STR_EMPTY, list, ENTRIES_MAX);

	for (size_t i = 0; i < n; i++) {
		struct str one = str_trim(list[i]);
		bool known = str_eq(one, STR("*"));

		for (size_t k = 0; k < ARRAY_LEN(kinds) && !known; k++)
			known = str_has_prefix(one, str_from(kinds[k]));
		if (!known)
			return err_set(e, VINE_EINVAL, CERTIFICATES ": '%.*s' begins with none of subject: dns: uri: ip: email:",
				       STRF(str_slice(one, 0, 80)));
		a->names[a->n_names++] = str_dup_in(&a->arena, one);
	}
	return 0;
}

int reg_auth_new(struct reg_auth **ret, const struct props *p, struct err *e)
{
	struct reg_auth *a = xzalloc(sizeof(*a));
	int r;

	arena_init(&a->arena, 4096);
	a->users = xzalloc((ENTRIES_MAX + 2) * sizeof(*a->users));
	a->tokens = xzalloc(ENTRIES_MAX * sizeof(*a->tokens));
	a->names = xzalloc(ENTRIES_MAX * sizeof(*a->names));
	r = read_users(a, p, e);
	if (r == 0)
		r = read_tokens(a, p, e);
	if (r == 0)
		r = read_names(a, p, e);
	if (r < 0 || a->n_users + a->n_tokens + a->n_names == 0) {
		reg_auth_free(a);
		a = NULL;
	}
	if (r == 0)
		*ret = a;
	return r;
}

void reg_auth_free(struct reg_auth *a)
{
	if (!a)
		return;
	free(a->users);
	free(a->tokens);
	free(a->names);
	arena_fini(&a->arena);
	free(a);
}

/* --- who it is --- */

/* `*` is any text; nothing else is special. Greedy with one point to come back to: linear but for that. */
static bool matches(struct str pattern, struct str name)
{
	size_t p = 0, n = 0, star = SIZE_MAX, from = 0;

	while (n < name.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			from = n;
		} else if (p < pattern.len && ascii_lower(pattern.ptr[p]) == ascii_lower(name.ptr[n])) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			n = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

static bool knows_names(const struct reg_auth *a, struct str names, struct str *who)
{
	struct str line;

	while (names.len && str_cut(&names, '\n', &line)) {
		for (size_t i = 0; i < a->n_names; i++) {
			if (!matches(a->names[i], line))
				continue;
			*who = line;
			return true;
		}
	}
	return false;
}

bool reg_auth_knows(struct reg_auth *a, struct str authorization, struct str names, struct str *who, bool *first)
{
	bool *used = NULL;

	for (size_t i = 0; i < a->n_users; i++) {
		if (auth_creds_shown(&a->users[i].creds, authorization)) {
			used = &a->users[i].used;
			*who = a->users[i].who;
		}
	}
	if (str_has_prefix_nocase(authorization, STR("Bearer "))) {
		struct str shown = str_trim(str_slice(authorization, 7, authorization.len));

		for (size_t i = 0; i < a->n_tokens; i++) {
			if (auth_same(shown, a->tokens[i].token)) {
				used = &a->tokens[i].used;
				*who = a->tokens[i].who;
			}
		}
	}
	*first = used && !*used;
	if (used)
		*used = true;
	return used || knows_names(a, names, who);
}

/* --- answering --- */

static void tell_refusal(struct reg_auth *a, struct exchange *ex, const struct logger *log, const char *why)
{
	usec now = loop_now(http_server_loop(ex->server));

	if (a->told && now - a->told < TELL_AGAIN) {
		a->untold++;
		return;
	}
	LOG(log, LOG_WARN, "a request is not let in", F_Z("why", why), F_STR("peer", ex_peer_text(ex)),
	    F_STR("method", ex->req.method), F_STR("path", str_slice(ex_path(ex), 0, 200)), F_INT("more_untold", a->untold));
	a->told = now;
	a->untold = 0;
}

static void refuse(struct reg_auth *a, struct exchange *ex, const struct logger *log)
{
	static const char text[] = "{\"status\":401,\"error\":\"Unauthorized\"}";
	struct field ask[2];
	size_t n = 0;
	bool shown = head_has(&ex->req, H_AUTHORIZATION);

	tell_refusal(a, ex, log, shown ? "credentials that are not known" : "no credentials");
	if (a->n_users || !a->n_tokens) /* a 401 must name a way; one by certificate has no name */
		ask[n++] = (struct field){ STR("WWW-Authenticate"), STR("Basic realm=\"vine\", charset=\"UTF-8\"") };
	if (a->n_tokens)
		ask[n++] = (struct field){ STR("WWW-Authenticate"),
					   shown ? STR("Bearer realm=\"vine\", error=\"invalid_token\"") : STR("Bearer realm=\"vine\"") };
	ex_respond(ex, 401, STR("application/json"), str_of(text, sizeof(text) - 1), ask, n);
}

bool reg_auth_would_admit(struct reg_auth *a, struct exchange *ex, const struct logger *log)
{
	struct str who = STR_EMPTY;
	bool first;

	if (likely(!a))
		return true;
	if (!reg_auth_knows(a, head_value(&ex->req, H_AUTHORIZATION), ex_client_names(ex), &who, &first))
		return false;
	if (first)
		LOG(log, LOG_INFO, "these credentials are in use", F_STR("who", who), F_STR("peer", ex_peer_text(ex)));
	LOG(log, LOG_DEBUG, "let in", F_STR("who", who), F_STR("peer", ex_peer_text(ex)), F_STR("path", str_slice(ex_path(ex), 0, 200)));
	return true;
}

bool reg_auth_admits(struct reg_auth *a, struct exchange *ex, const struct logger *log)
{
	if (ex_is_cross_site(ex)) { /* a browser sends what it has been told once, whoever asks it to */
		ex_refuse(ex, AUTH_CROSS_SITE);
		return false;
	}
	if (likely(reg_auth_would_admit(a, ex, log)))
		return true;
	refuse(a, ex, log);
	return false;
}
