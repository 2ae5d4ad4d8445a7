/*
 * attack: Opens files by handles that name inodes, not paths (the docker escape of 2014), and marks whole file systems.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/fanotify.h>

int main(void)
{
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } handle = { .head = { .handle_bytes = 8, .handle_type = 1 }, .bytes = { 2 } };
    int mount_id, won = 0;
    int root = open("/usr", O_RDONLY | O_DIRECTORY);
    if (open_by_handle_at(root, &handle.head, O_RDONLY) >= 0)
        won += printf("ESCAPED: open_by_handle_at\n");
    handle.head.handle_bytes = 128;
    if (name_to_handle_at(AT_FDCWD, "/usr/bin/env", &handle.head, &mount_id, 0) == 0)
        won += printf("ESCAPED: name_to_handle_at\n");
    if (fanotify_init(0, O_RDONLY) >= 0 || fanotify_init(FAN_REPORT_FID, O_RDONLY) >= 0)
        won += printf("ESCAPED: fanotify\n");
    if (won == 0)
        puts("refused");
}
