/* image_layers: see the header. */
#include "sandbox/image_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME_BYTES_MAX 128

const char *const image_host_usr[] = { "bin", "sbin", "lib*", "include", "libexec", "share", NULL };
/* What languages need, and what their programs commonly read: locales, time zones, terminals. */
const char *const image_host_share[] = {
    "R",      "X11",      "awk",        "binfmts", "clang*",   "common-lisp", "crystal",    "dotnet",
    "elixir", "erlang",   "fish",       "fonts",   "gcc*",     "ghc*",        "glib-2.0",   "gforth",
    "guile",  "i18n",     "icu",        "java*",   "julia",    "kotlin",      "libc-bin",   "llvm*",
    "locale", "lua*",     "maven-repo", "mime",    "mono*",    "node*",       "nodejs",     "npm",
    "ocaml*", "octave",   "perl*",      "php*",    "pike*",    "pkgconfig",   "pypy*",      "python*",
    "racket", "readline", "ruby*",      "rust*",   "sbcl*",    "scala*",      "swi-prolog", "swift*",
    "tabset", "tcl*",     "terminfo",   "vala*",   "zoneinfo", "zsh",         NULL
};
/* Settings, units and firmware of this machine, and the packages of its Python and Node.js. */
const char *const image_host_lib_hidden[] = { "*.d",          "apt",     "cloud*",     "dpkg",   "evalx*",
                                              "firmware",     "init",    "initramfs*", "kernel", "modules",
                                              "node_modules", "python3", "systemd",    "udev",   NULL };
/* What Debian's Node.js itself is made of; all else there is packages. */
const char *const image_host_nodejs[] = { "acorn*", "busboy", "cjs-module-lexer*", "streamsearch", "undici*", NULL };
/* The rest of /etc describes this machine, or is made for the box. */
const char *const image_host_etc[] = { "alternatives", "ld.so.cache", "java-*-openjdk", "R", "php", "mono", NULL };

static int open_beneath(int folder, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

static int open_plainly(int folder, const char *path, uint64_t flags)
{
    return open_beneath(folder, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/* Only root may have written it, and only root may change it. */
static int check_owner(int fd, const char *what, const char *name, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set(err, ERROR_SETUP, errno, "look at %s %s", what, name);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(err, ERROR_SETUP, 0, "%s %s must belong to root and be writable by nobody else", what, name);
    return 0;
}

static bool is_layer_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < NAME_BYTES_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._+-") == len;
}

static int add_layer(int layers_folder, const char *name, struct layers *layers, struct error *err)
{
    if (!is_layer_name(name))
        return error_set(err, ERROR_SETUP, 0, "\"%.60s\" is not a valid layer name", name);
    if (layers->len == IMAGE_LAYERS_MAX)
        return error_set(err, ERROR_SETUP, 0, "more than %d layers", IMAGE_LAYERS_MAX);
    int fd = open_plainly(layers_folder, name, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open layer %s", name);
    layers->fds[layers->len++] = fd;
    return check_owner(fd, "layer", name, err);
}

/* The file lists the layers from the bottom up. */
static int add_lines(int folder, char *text, struct layers *layers, struct error *err)
{
    auto_close int layers_folder = open_plainly(folder, ".layers", O_PATH | O_DIRECTORY);

    if (layers_folder < 0)
        return error_set(err, ERROR_SETUP, errno, "open the folder .layers");
    if (check_owner(layers_folder, "folder", ".layers", err) < 0)
        return -1;
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
        if ((line[0] != '\0' || rest != NULL) && add_layer(layers_folder, line, layers, err) < 0)
            return -1;
    if (layers->len == 0)
        return error_set(err, ERROR_SETUP, 0, "it names no layer");
    for (size_t low = 0, high = layers->len - 1; low < high; low++, high--) {
        int fd = layers->fds[low];
        layers->fds[low] = layers->fds[high];
        layers->fds[high] = fd;
    }
    return 0;
}

static int add_named(int folder, const char *image, struct layers *layers, struct error *err)
{
    char name[NAME_BYTES_MAX + 8], text[sizeof layers->names];
    struct stat st;

    if (snprintf(name, sizeof name, "%s.layers", image) >= (int)sizeof name)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "open %.60s", image);
    auto_close int file = open_plainly(folder, name, O_RDONLY | O_NONBLOCK);
    if (file < 0)
        return error_set(err, ERROR_SETUP, errno, "open %s", name);
    if (check_owner(file, "file", name, err) < 0)
        return -1;
    if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(err, ERROR_SETUP, 0, "%s is not a regular file", name);
    ssize_t len = read(file, text, sizeof text);
    if (len < 0 || len > IMAGE_LAYERS_BYTES_MAX)
        return error_set(err, ERROR_SETUP, len < 0 ? errno : EFBIG, "read %s", name);
    text[len] = '\0';
    memcpy(layers->names, text, (size_t)len + 1);
    if (add_lines(folder, text, layers, err) < 0)
        return error_within(err, "%s", name);
    return 0;
}

int image_layers_open(const char *images_folder, const char *image, struct layers *ret, struct error *err)
{
    struct layers layers = { 0 };

    if (strcmp(image, "host") == 0) {
        layers.fds[0] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (layers.fds[0] < 0)
            return error_set(err, ERROR_SETUP, errno, "open /");
        layers.len = 1;
        *ret = layers;
        return 0;
    }
    auto_close int folder = open(images_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return error_set(err, ERROR_SETUP, errno, "open images folder %s", images_folder);
    int root = open_plainly(folder, image, O_PATH | O_DIRECTORY);
    if (root >= 0) {
        layers.fds[layers.len++] = root;
    } else if (errno != ENOENT) {
        return error_set(err, ERROR_SETUP, errno, "open image %s in %s", image, images_folder);
    } else if (add_named(folder, image, &layers, err) < 0) {
        image_layers_close(&layers);
        return error_within(err, "image %s in %s", image, images_folder);
    }
    *ret = layers;
    return 0;
}

void image_layers_close(struct layers *layers)
{
    for (size_t i = 0; i < layers->len; i++)
        (void)close(layers->fds[i]);
    layers->len = 0;
}

/* RESOLVE_IN_ROOT: an absolute link in the image is relative to the image's root. */
bool image_layers_stat(const struct layers *layers, const char *path, struct stat *ret)
{
    for (size_t i = 0; i < layers->len; i++) {
        auto_close int fd = open_beneath(layers->fds[i], path, O_PATH, RESOLVE_IN_ROOT);
        if (fd >= 0)
            return fstat(fd, ret) == 0;
    }
    return false;
}

bool image_layers_have(const struct layers *layers, const char *path)
{
    struct stat ignored;

    return image_layers_stat(layers, path, &ignored);
}

int image_layers_open_prepared(const char *images_folder, const char *image, int *ret_fd, struct error *err)
{
    char path[sizeof IMAGE_LAYERS_PREPARED + 1 + NAME_BYTES_MAX];
    auto_close int folder = open(images_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    *ret_fd = -1;
    if (folder < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_SETUP, errno, "open images folder %s", images_folder);
    if (snprintf(path, sizeof path, IMAGE_LAYERS_PREPARED "/%s", image) >= (int)sizeof path)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "open %.60s", image);
    auto_close int fd = open_plainly(folder, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_SETUP, errno, "open %s in %s", path, images_folder);
    if (check_owner(fd, "folder", path, err) < 0)
        return -1;
    *ret_fd = take_fd(&fd);
    return 0;
}
