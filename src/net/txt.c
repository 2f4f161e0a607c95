/* txt.c - see txt.h. */
#include "net/txt.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

#include "base/util.h"

#define ANSWER_MAX 16384 /* bytes of one answer, by TCP */

static bool is_gap(char c)
{
	return c == ' ' || c == '\t' || c == '"';
}

static void add_words(struct txt_words *w, struct str text)
{
	size_t i = 0;

	while (i < text.len && w->n < TXT_WORDS_MAX) {
		size_t from;

		while (i < text.len && is_gap(text.ptr[i]))
			i++;
		from = i;
		while (i < text.len && !is_gap(text.ptr[i]))
			i++;
		if (i > from && i - from <= TXT_WORD_MAX) {
			memcpy(w->word[w->n], text.ptr + from, i - from);
			w->word[w->n++][i - from] = '\0';
		}
	}
}

int txt_parse(struct txt_words *ret, struct str message)
{
	ns_msg m;

	ret->n = 0;
	if (message.len > ANSWER_MAX || ns_initparse((const unsigned char *)message.ptr, (int)message.len, &m) < 0)
		return VINE_EINVAL;
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		const unsigned char *p, *end;
		ns_rr rr;

		if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
			return VINE_EINVAL;
		if (ns_rr_type(rr) != ns_t_txt)
			continue;
		p = ns_rr_rdata(rr);
		end = p + ns_rr_rdlen(rr);
		while (p < end && p + 1 + *p <= end) {
			add_words(ret, str_of((const char *)p + 1, *p));
			p += 1 + *p;
		}
	}
	return 0;
}

int txt_lookup(struct txt_words *ret, const char *name, const struct addr *server, struct err *e)
{
	struct __res_state state = { 0 };
	unsigned char *answer;
	int n, r;

	ret->n = 0;
	if (res_ninit(&state) < 0)
		return err_set(e, VINE_EIO, "the name service cannot be used");
	if (server) {
		state.nsaddr_list[0] = server->in;
		state.nscount = 1;
	}
	state.retrans = 2;
	state.retry = 2;
	answer = xzalloc(ANSWER_MAX);
	n = res_nquery(&state, name, ns_c_in, ns_t_txt, answer, ANSWER_MAX);
	if (n < 0 && (state.res_h_errno == HOST_NOT_FOUND || state.res_h_errno == NO_DATA))
		r = err_set(e, VINE_ENOTFOUND, "no TXT record of %s", name);
	else if (n < 0)
		r = err_set(e, VINE_EIO, "no name server answers for TXT of %s", name);
	else if (txt_parse(ret, str_of((const char *)answer, (size_t)MIN(n, ANSWER_MAX))) < 0)
		r = err_set(e, VINE_EIO, "a malformed answer for TXT of %s", name);
	else
		r = ret->n ? 0 : err_set(e, VINE_ENOTFOUND, "no TXT record of %s", name);
	free(answer);
	res_nclose(&state);
	return r;
}
