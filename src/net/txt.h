/* txt.h - TXT records of a name, from the system's name servers or a given one. Blocks: for a lane of the jobs pool. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "net/addr.h"

#define TXT_WORD_MAX 255
#define TXT_WORDS_MAX 64

struct txt_words {
	unsigned n;
	char word[TXT_WORDS_MAX][TXT_WORD_MAX + 1];
};

/* The words of all records (their texts, cut at blanks, quotes dropped); more than TXT_WORDS_MAX are left out. server: whom to ask
 * instead of those of resolv.conf, IPv4; NULL: those. VINE_ENOTFOUND: there are none; VINE_EIO: nobody answered. */
int txt_lookup(struct txt_words *ret, const char *name, const struct addr *server, struct err *e);
/* What txt_lookup reads from an answer: a DNS message. VINE_EINVAL: it is none. */
int txt_parse(struct txt_words *ret, struct str message);
