/* canary.c - a balancer of one's own: a server list from a file, and a rule that gives a few requests to new releases.
 *
 *   product:
 *     ribbon:
 *       NIWSServerListClassName: /usr/lib/shop/canary.so:file_list
 *       NFLoadBalancerRuleClassName: /usr/lib/shop/canary.so:canary_rule
 *   canary:
 *     servers-file: /etc/shop/product.servers     # host:port [zone [weight]], a line each; # begins a comment
 *     percent: 5                                  # of the requests go to servers of the zone "canary"
 *
 * In the registry a canary may also be told by metadata, track=canary. Within a group the one of two drawn servers gets the
 * request that has fewer under way. Build: cc -shared -fPIC canary.c -o canary.so; it links with nothing of Vine's.
 *
 * State     One struct canary a client, made by create; the rule's parameters are read there, so a reload keeps them: that
 *           is the price of not asking for a property at each request.
 * Threads   choose is called by all workers at once and only reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vine/balance.h>

#define PERCENT_DEFAULT 5
#define GROUP_MAX 1024

struct canary {
	const struct vine_host *host;
	uint32_t percent;
	char file[256];
};

static void *create(const struct vine_host *host, const char *client)
{
	struct canary *c = calloc(1, sizeof(*c));
	char text[16];

	(void)client;
	if (!c)
		return NULL;
	c->host = host;
	c->percent = host->property(host, "canary.percent", text, sizeof(text)) >= 0 ? (uint32_t)strtoul(text, NULL, 10)
										     : PERCENT_DEFAULT;
	host->property(host, "canary.servers-file", c->file, sizeof(c->file));
	return c;
}

static void destroy(void *state)
{
	free(state);
}

/* --- the rule --- */

static bool is_canary(const struct canary *c, const struct vine_servers *s, uint32_t i)
{
	size_t len;
	const char *track = c->host->balance->metadata(s, i, "track", &len);

	return strcmp(c->host->balance->zone(s->at[i]), "canary") == 0 ||
	       (track && len == 6 && memcmp(track, "canary", 6) == 0);
}

/* Of the group's servers that are in, two are drawn and the less busy one is taken; -1: none is in. */
static int64_t choose_of(const struct canary *c, const struct vine_choice *ch, bool canaries)
{
	const struct vine_balance_host *b = c->host->balance;
	uint32_t group[GROUP_MAX], n = 0;

	for (uint32_t i = 0; i < ch->servers->n && n < GROUP_MAX; i++) {
		if (is_canary(c, ch->servers, i) == canaries && b->state(ch, i) == VINE_SERVER_IN)
			group[n++] = i;
	}
	if (n == 0)
		return -1;

	uint32_t one = group[b->random(ch, n)], two = group[b->random(ch, n)];

	return b->active(ch->servers->at[two]) < b->active(ch->servers->at[one]) ? two : one;
}

static int64_t choose(void *state, const struct vine_choice *ch)
{
	const struct canary *c = state;
	bool canaries = c->host->balance->random(ch, 100) < c->percent;
	int64_t at = choose_of(c, ch, canaries);

	if (at < 0)
		at = choose_of(c, ch, !canaries);
	return at >= 0 ? at
		       : c->host->balance->random(ch, ch->servers->n); /* all are out: trying is better than failing */
}

const struct vine_rule_ops canary_rule = {
	.plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "canary"),
	.create = create,
	.destroy = destroy,
	.choose = choose,
};

/* --- the list --- */

static void add_line(const struct canary *c, struct vine_list *list, const char *line)
{
	char id[256] = "", zone[64] = "", text[400];
	unsigned weight = 0;

	if (sscanf(line, "%255s %63s %u", id, zone, &weight) < 1 || id[0] == '#')
		return;
	if (c->host->balance->add(list, id, zone, weight) >= 0)
		return;
	snprintf(text, sizeof(text), "canary: not a server: %s", id);
	c->host->log(c->host, VINE_PLUGIN_WARN, text);
}

static int fill(void *state, struct vine_list *list)
{
	const struct canary *c = state;
	FILE *f = c ? fopen(c->file, "r") : NULL;
	char line[400];

	if (!f)
		return -1; /* the servers that were there stay */
	while (fgets(line, sizeof(line), f))
		add_line(c, list, line);
	fclose(f);
	return 0;
}

const struct vine_list_ops file_list = {
	.plugin = VINE_PLUGIN(struct vine_list_ops, VINE_PLUGIN_LIST, "file"),
	.create = create,
	.destroy = destroy,
	.fill = fill,
};
