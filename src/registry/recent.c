/* recent.c - a ring. */
#include "registry/recent.h"

#include "eureka/instance.h"

void recent_fini(struct recent *r)
{
	for (uint32_t i = 0; i < RECENT_MAX; i++)
		free(r->item[i].text);
	*r = (struct recent){ 0 };
}

void recent_add(struct recent *r, msec at, struct str app, struct str id)
{
	struct recent_item *it = &r->item[r->next];
	char *text, *p;

	app.len = MIN(app.len, (size_t)INST_NAME_MAX); /* what is cancelled may be any path */
	id.len = MIN(id.len, (size_t)INST_ID_MAX);
	text = p = xmalloc(app.len + id.len + 3);
	memcpy(p, app.ptr, app.len);
	p += app.len;
	*p++ = '(';
	memcpy(p, id.ptr, id.len);
	p += id.len;
	*p++ = ')';
	*p = '\0';
	free(it->text);
	*it = (struct recent_item){ at, text };
	r->next = (r->next + 1) % RECENT_MAX;
	r->n = MIN(r->n + 1, (uint32_t)RECENT_MAX);
}

const struct recent_item *recent_at(const struct recent *r, uint32_t i)
{
	return i < r->n ? &r->item[(r->next + RECENT_MAX - 1 - i) % RECENT_MAX] : NULL;
}
