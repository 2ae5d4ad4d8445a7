"""layer: strips, measures and checks a layer."""
import hashlib
import os
import stat

from common import file_sha256, remove_tree

# Files that no program needs: documentation, translations, files for desktops.  dpkg does not unpack them.  Those that
# package scripts create are removed at the end.
USELESS = """usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug
    usr/share/doc-base usr/share/menu usr/share/applications usr/share/bash-completion usr/share/zsh usr/share/fish
    usr/share/gdb usr/share/pixmaps usr/share/icons usr/share/help usr/share/gtk-doc usr/share/omf usr/share/linda
    usr/share/vim usr/share/emacs/site-lisp usr/share/common-licenses""".split()
# Files for running a machine.  evalx keeps them out of every run (src/sandboxd/rootfs.c, `excluded`).
MACHINE = """boot dev home media mnt opt/evalx proc root run srv sys tmp var/cache var/log var/tmp var/spool var/mail
    var/backups var/lib/apt var/lib/systemd var/lib/pam lib/systemd usr/lib/systemd etc/systemd etc/init.d etc/cron.d
    etc/cron.daily etc/cron.weekly etc/logrotate.d etc/pam.d etc/security etc/skel etc/default etc/fstab etc/hostname
    etc/resolv.conf etc/machine-id etc/rc0.d etc/rc1.d etc/rc2.d etc/rc3.d etc/rc4.d etc/rc5.d etc/rc6.d etc/rcS.d
    usr/sbin/policy-rc.d""".split()
# The package manager.
MANAGER = """etc/apt etc/dpkg etc/kernel usr/lib/apt usr/lib/dpkg usr/libexec/dpkg usr/share/dpkg usr/share/keyrings
    usr/share/debconf usr/share/perl5/Debian usr/share/perl5/Debconf usr/share/perl5/Dpkg usr/share/perl5/Dpkg.pm
    etc/debconf.conf var/cache/debconf var/lib/ucf usr/lib/init""".split()
USERS = """etc/passwd etc/group etc/shadow etc/gshadow etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid
    etc/subgid etc/subuid- etc/subgid-""".split()


def walk(root):
    """Every path of a tree below `root`, with its status: a folder before what it contains."""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        found = entry.stat(follow_symlinks=False)
        yield entry.path, found
        if stat.S_ISDIR(found.st_mode):
            yield from walk(entry.path)


def strip(root):
    """Removes files for running a machine, setuid and setgid files, devices and sockets.  Gives all other files to
    root and makes them writable by root only."""
    for path in USELESS + MACHINE + MANAGER:
        remove_tree(f"{root}/{path}")
    folders = []
    for path, found in walk(root):
        mode = found.st_mode
        if stat.S_ISREG(mode) and mode & 0o6000 or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            os.remove(path)
            continue
        if found.st_uid != 0 or found.st_gid != 0:
            os.chown(path, 0, 0, follow_symlinks=False)
        if stat.S_ISDIR(mode):
            folders.append(path)
            if mode & 0o7002:
                os.chmod(path, stat.S_IMODE(mode) & ~0o7002)
        elif stat.S_ISREG(mode) and mode & 0o002:
            os.chmod(path, stat.S_IMODE(mode) & ~0o002)
    for path in reversed(folders):
        if path.endswith("/__pycache__") and "/dist-packages/" in path and not os.listdir(path):
            os.rmdir(path)
    os.chmod(root, 0o755)


def remove_empty_folders(root):
    for path, _ in reversed([(path, found) for path, found in walk(root) if stat.S_ISDIR(found.st_mode)]):
        if not os.listdir(path):
            os.rmdir(path)


KINDS = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFSOCK: "s", stat.S_IFBLK: "b",
         stat.S_IFCHR: "c"}


def checksum(root):
    """A checksum of every path with its type, mode, owner, and content or link target."""
    others, files = [b" d %o 0 \n" % stat.S_IMODE(os.lstat(root).st_mode)], []
    for path, found in walk(root):
        name = os.fsencode(os.path.relpath(path, root))
        mode = b"%o" % stat.S_IMODE(found.st_mode)
        if stat.S_ISREG(found.st_mode):
            files.append((name, b"%b %b %d\n" % (name, mode, found.st_uid), path))
            continue
        target = os.fsencode(os.readlink(path)) if stat.S_ISLNK(found.st_mode) else b""
        kind = KINDS[stat.S_IFMT(found.st_mode)].encode()
        others.append(b"%b %b %b %d %b\n" % (name, kind, mode, found.st_uid, target))
    total = hashlib.sha256(b"".join(sorted(others)))
    total.update(b"".join(sorted(line for _, line, _ in files)))
    for name, _, path in sorted(files):
        shown = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        escaped = b"\\" if shown != name else b""
        total.update(b"%b%b  ./%b\n" % (escaped, file_sha256(path).encode(), shown))
    return total.hexdigest()


def facts(root):
    """Lines for the manifest."""
    size = files = 0
    seen = set()
    for _, found in walk(root):
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            size += found.st_blocks * 512
        files += stat.S_ISREG(found.st_mode)
    return [f"bytes {size + os.lstat(root).st_blocks * 512}", f"files {files}", f"sha256 {checksum(root)}"]


def problems(root, sha256):
    """Why the layer is not what was built; empty if it is."""
    if not os.path.isdir(root):
        return f"layer {os.path.basename(root)} is missing"
    wrong = []
    for path, found in walk(root):
        mode = found.st_mode
        if (mode & 0o6000 or found.st_uid != 0 or not stat.S_ISLNK(mode) and mode & 0o022 or
                not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))):
            wrong.append(path)
    if wrong:
        return f"files that no image may have: {' '.join(wrong[:3])}"
    manager = [path for path in ("usr/bin/apt", "usr/bin/apt-get", "usr/bin/dpkg", "usr/lib/apt", "usr/share/doc",
                                 "usr/share/locale") if os.path.lexists(f"{root}/{path}")]
    if manager:
        return f"it contains the package manager or documentation: {' '.join(manager)}"
    if checksum(root) != sha256:
        return "it was changed: its checksum differs from the manifest"
    return ""
