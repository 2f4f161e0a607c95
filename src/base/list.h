/* list.h - intrusive doubly linked lists. A link that is on no list points to itself after list_init or list_del. */
#pragma once
#include "base/util.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l) /* of a head: no members; of a link: on no list */
{
	return l->next == l;
}

static inline void list_insert(struct list *after, struct list *n)
{
	n->prev = after;
	n->next = after->next;
	after->next->prev = n;
	after->next = n;
}

static inline void list_push_front(struct list *head, struct list *n)
{
	list_insert(head, n);
}

static inline void list_push_back(struct list *head, struct list *n)
{
	list_insert(head->prev, n);
}

static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

static inline struct list *list_first(const struct list *head) /* NULL if empty */
{
	return list_is_empty(head) ? NULL : head->next;
}

#define list_entry(link, type, member) container_of(link, type, member)
/* l may be deleted inside the loop; the next one must not. */
#define list_foreach(l, head)                                                                                          \
	for (struct list *l = (head)->next, *l##_next = l->next; l != (head); l = l##_next, l##_next = l->next)
