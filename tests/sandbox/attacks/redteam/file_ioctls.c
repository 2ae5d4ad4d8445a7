/*
 * attack: Requests of file systems on files of the image and the box: where a file lies on the host's disk, flags that
 * nobody else could undo, freezing, trimming, sharing of extents.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int won;

static void image(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct {
        struct fiemap map;
        struct fiemap_extent extents[4];
    } where = { .map = { .fm_length = ~0ull, .fm_extent_count = 4 } };
    int flags = FS_IMMUTABLE_FL | FS_NOATIME_FL, block = 0;
    struct fstrim_range range = { .len = ~0ull };
    struct fsxattr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.fsx_xflags = FS_XFLAG_NODUMP;
    if (ioctl(fd, FS_IOC_FIEMAP, &where) == 0 && where.map.fm_mapped_extents > 0 && where.extents[0].fe_physical != 0)
        won += printf("ESCAPED: %s lies at %llu of the disk\n", path, (unsigned long long)where.extents[0].fe_physical);
    if (ioctl(fd, FIBMAP, &block) == 0)
        won += printf("ESCAPED: block of %s\n", path);
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0 || ioctl(fd, FS_IOC_FSSETXATTR, &attributes) == 0)
        won += printf("ESCAPED: flags of %s\n", path);
    if (ioctl(fd, FIFREEZE, 0) == 0 || ioctl(fd, FITRIM, &range) == 0)
        won += printf("ESCAPED: the file system of %s\n", path);
    close(fd);
}

int main(void)
{
    int immutable = FS_IMMUTABLE_FL, fd, from = open("/usr/bin/env", O_RDONLY);
    image("/usr/bin/env");
    image("/usr/bin");
    image("/");
    image("/dev");
    fd = open("/box/own", O_CREAT | O_RDWR, 0644);
    if (ioctl(fd, FS_IOC_SETFLAGS, &immutable) == 0)
        won += printf("ESCAPED: a file of the box is immutable\n");
    if (ioctl(fd, FICLONE, from) == 0)
        won += printf("ESCAPED: the image's extents are shared\n");
    if (ioctl(open("/box", O_RDONLY), FIFREEZE, 0) == 0)
        won += printf("ESCAPED: the box is frozen\n");
    if (won == 0)
        puts("refused");
}
