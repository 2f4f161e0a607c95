/* fuzz_txt.c - a name server's answer: whatever it says, the words are bounded, not empty and free of gaps. */
#include "fuzz.h"

#include <string.h>

#include "net/txt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct txt_words *w = calloc(1, sizeof(*w));
	int r = txt_parse(w, str_of((const char *)data, size));

	PROMISE(r == 0 || r == VINE_EINVAL);
	PROMISE(w->n <= TXT_WORDS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		size_t n = strnlen(w->word[i], sizeof(w->word[i]));

		PROMISE(n <= TXT_WORD_MAX && strcspn(w->word[i], " \t\"") == n);
	}
	free(w);
	return 0;
}
