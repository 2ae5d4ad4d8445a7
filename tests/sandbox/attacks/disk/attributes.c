/*
 * attack: Extended attributes: space that is in no file.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 3000}
 * expect: accepted stdout~"^refused"
 * expect: memory_limit
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

static char value[60000];

int main(void)
{
    char name[40];
    long bytes = 0;
    for (int file = 0; file < 400; file++) {
        snprintf(name, sizeof name, "/tmp/%d", file);
        close(open(name, O_CREAT | O_WRONLY, 0600));
        for (int i = 0; i < 100; i++) {
            char key[40];
            snprintf(key, sizeof key, "user.%d", i);
            if (setxattr(name, key, value, sizeof value, 0) == 0)
                bytes += sizeof value;
        }
    }
    printf(bytes < 64l << 20 ? "refused after %ld\n" : "ESCAPED: %ld bytes\n", bytes);
}
