/* load.h - finding and reading configuration: files with profiles, environment, command line. Blocking; at start and on the
 * control thread at reload.
 *
 * With -c FILE that file is read; else the first of ./vine.yml, ./application.yml, ./application.yaml,
 * ./application.properties, the same below ./config/, /etc/vine/vine.yml. No file at all is fine: everything has a default.
 * Beside each file its profile forms are read (application-dev.yml for the profile dev). Documents with
 * spring.config.activate.on-profile hold only where that is true. spring.config.import names further files, relative to
 * the one that imports; "optional:" lets one be missing. */
#pragma once
#include "props/props.h"

struct load_opts {
	const char *config;       /* -c FILE; NULL: search */
	const char *const *args;  /* "key=value" or "--key=value" */
	size_t n_args;
	char *const *env;         /* environ; NULL: none */
};

#define LOAD_FILES_MAX 64

/* The files that were read, or were to be, for watching. */
struct load_files {
	char *path[LOAD_FILES_MAX];
	size_t n;
};
void load_files_fini(struct load_files *f);
/* What they look like: any of them written, replaced, come or gone changes it. Blocking. */
uint64_t load_files_stamp(const struct load_files *f);

/* Returns 0 and a picture, perhaps with findings; or a negative code and one line if a file cannot be read or parsed.
 * files may be NULL. */
int props_load(struct props **ret, const struct load_opts *opts, struct load_files *files, struct err *e);
