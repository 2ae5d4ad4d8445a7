/* replay: runs a target with every file of a folder.  The test passes if none of them crashes it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

static void replay(const char *path)
{
    auto_buf struct buf bytes = { .max = 16u << 20 };
    struct error err;
    char piece[4096];
    size_t len;
    FILE *in = fopen(path, "rb");

    if (in == NULL) {
        perror(path);
        exit(1);
    }
    while ((len = fread(piece, 1, sizeof piece, in)) > 0)
        if (buf_append(&bytes, piece, len, &err) < 0) {
            fprintf(stderr, "%s: %s\n", path, err.text);
            exit(1);
        }
    fclose(in);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)(bytes.at != NULL ? bytes.at : ""), bytes.len);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int replayed = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int len = scandir(argv[1], &entries, NULL, alphasort);
    for (int i = 0; i < len; i++) {
        char path[4096];
        struct stat about;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode)) {
            replay(path);
            replayed++;
        }
        free(entries[i]);
    }
    if (len >= 0)
        free(entries);
    printf("%d inputs\n", replayed);
    return replayed > 0 ? 0 : 1; /* a test without inputs tests nothing */
}
