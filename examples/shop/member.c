/* member.c - the API server for members: who somebody is, and what grade they have. Nothing but libvine. */
#include <stdio.h>
#include <stdlib.h>

#include <vine/app.h>

static const struct member {
	const char *name, *grade;
	int points;
} members[] = {
	{ "Hana", "VIP", 12840 },
	{ "Minjun", "GOLD", 3310 },
	{ "Sora", "FAMILY", 90 },
};

static void show(struct vine_request *rq, void *ctx)
{
	long id = strtol(vine_request_var(rq, "id"), NULL, 10);

	(void)ctx;
	if (id < 1 || id > (long)(sizeof(members) / sizeof(members[0]))) {
		vine_reply_json(rq, 404, "{\"error\":\"no such member\"}");
		return;
	}

	const struct member *m = &members[id - 1];

	vine_replyf(rq, 200, "application/json", "{\"id\":%ld,\"name\":\"%s\",\"grade\":\"%s\",\"points\":%d}", id, m->name,
		    m->grade, m->points);
}

int main(int argc, char **argv)
{
	struct vine_err e;
	struct vine_app *app;

	if (vine_app_new(&app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "member" }, &e) < 0)
		return vine_app_complain("member", &e);
	vine_app_route(app, "GET", "/members/{id}", show, NULL);

	int code = vine_app_run(app);

	vine_app_free(app);
	return code;
}
