/* base64.h - base64 of RFC 4648, strict: no blanks, no stray bits, padding as the alphabet demands. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum base64_kind {
	BASE64_STD, /* '+' and '/', padded */
	BASE64_URL, /* '-' and '_', written without padding; read with or without */
};

void base64_encode(struct buf *out, struct str in, enum base64_kind kind);
/* Appends the bytes; VINE_EINVAL leaves out as it was, VINE_ELIMIT: they do not fit. */
int base64_decode(struct buf *out, struct str in, enum base64_kind kind);
