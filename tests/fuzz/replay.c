/* replay.c - plays a corpus through a fuzz target, without a fuzzer.
 *
 * Each file of the given directories is given whole, then cut short at each length: most of what a fuzzer finds in a
 * parser it finds at the end of its input. Inputs are copied to a block of just their size, so that the address sanitizer
 * sees a read past them. A crash names the file first. Closes with "N passed, N failed". */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "fuzz.h"

#define CUTS_MAX 4096 /* longer seeds are cut at their first bytes only */

static void play(const uint8_t *p, size_t n)
{
	uint8_t *copy = xmalloc(n ? n : 1);

	if (n)
		memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static int play_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long size;

	if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		perror(path);
		exit(1);
	}
	rewind(f);
	bytes = xmalloc((size_t)size + 1);
	if (fread(bytes, 1, (size_t)size, f) != (size_t)size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	play(bytes, (size_t)size);
	for (size_t n = 0; n < MIN((size_t)size, (size_t)CUTS_MAX); n++)
		play(bytes, n);
	free(bytes);
	return 1;
}

static int play_directory(const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), files = 0;

	if (n < 0) {
		perror(dir);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		char path[4096];

		if (names[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			fprintf(stderr, "%s\n", path);
			files += play_file(path);
		}
		free(names[i]);
	}
	free(names);
	return files;
}

int main(int argc, char **argv)
{
	int files = 0;

	for (int i = 1; i < argc; i++)
		files += play_directory(argv[i]);
	printf("%d passed, 0 failed\n", files);
	return files > 0 ? 0 : 1;
}
