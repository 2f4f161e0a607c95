/* identities.h - the TLS identities that the properties name: each is read once, and again at a reload.
 *
 *   server.ssl              every role's listener         management.server.ssl   that of management.server.port
 *   vine.tls                connections that we open      eureka.client.tls       those to registries, where it is enabled
 *   <client>.ribbon         those of one client, where it has a store of its own
 *
 * A name stands for the same `struct tls` for the life of the process; what that has read changes with a reload, for the
 * connections that are made from then on. Files that are replaced are noticed by who looks. Whether a listener speaks TLS at all
 * is decided at the start.
 *
 * Threads   Any: a mutex guards the table, held while files are read. Reloads: one thread at a time. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct identities;
struct logger;
struct props;
struct tls;

struct identities *identities_new(void);
void identities_free(struct identities *ids); /* NULL is fine; who has a reference keeps what he has */

/* All give a reference borrowed from the table. VINE_EINVAL names property, file and reason. */

/* scope: "server.ssl" or "management.server.ssl". *ret NULL: it is not configured, or not enabled: plain. */
int identities_server(struct identities *ids, const struct props *p, const char *scope, struct tls **ret, struct err *e);
int identities_registry(struct identities *ids, const struct props *p, struct tls **ret, struct err *e);
/* client: the service's name; of_url: the address of a route, for which zuul.ssl-hostname-validation-enabled counts. */
int identities_ribbon(struct identities *ids, const struct props *p, struct str client, bool of_url, struct tls **ret, struct err *e);

bool identities_listens(const struct props *p); /* does server.ssl make listeners speak TLS? */
/* Would all that these properties name be readable? For `vine check` and before a start. */
int identities_check(const struct props *p, struct err *e);
int identities_check_registry(const struct props *p, struct err *e); /* only what identities_registry would read: at a reload */

/* A reload in two steps: everything is read anew by p and kept aside, or an error says what cannot be read; then it is put
 * in force, or forgotten: that is due where a reload is refused before it comes to them, too. */
int identities_prepare(struct identities *ids, const struct props *p, struct err *e);
void identities_commit(struct identities *ids);
void identities_forget(struct identities *ids);
/* Have files that were read changed since, and come to rest? Certificate and key are replaced one after the other: so a change
 * counts once two looks in a row have seen the same, and a reload that was refused is not called for again before the next
 * change. For who looks about every second; looks at the disk. */
bool identities_changed(struct identities *ids);
/* Says in the log which own certificates have expired or will within a fortnight. */
void identities_tell(struct identities *ids, const struct logger *log);
/* Seconds until the i-th identity's own certificate expires; false: there is no i-th. INT64_MAX: it has none. */
bool identities_at(struct identities *ids, size_t i, struct str *name, int64_t *seconds);
