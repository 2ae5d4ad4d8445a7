"""base: a minimal root of a suite, once with its package manager (for building) and once without (a layer)."""
import glob
import os
import subprocess
import time

import layer
from artefact import Artefact
from box import Box, BoxFailure
from common import Failure, human, output_of, read_file, remove_tree, say, write_file
from folder import timestamp
from mirrors import apt_options, is_ubuntu, machine_mirror

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = "/usr/share/keyrings"
NEEDED_BYTES = 700 << 20
LISTS_SECONDS = 24 * 3600
APT = ("apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Sandbox::User=root",
       "-o", "Acquire::Retries=3")


class Base:
    """With `lock`, the base of just the packages that it names, which the store has or fetches."""

    def __init__(self, folder, mirrors, suite, store, lock=None):
        self.folder = folder
        self.mirrors = mirrors
        self.suite = suite
        self.store = store
        self.lock = lock
        self.key = f"{suite}-{lock.checksum()[:8]}" if lock else suite
        self.root = folder.base_root(self.key)
        self.renew = f"{folder.build}/{self.key}.renew"
        self.box = Box(self.root, folder.log(f"base-{self.key}"))

    def mark_outdated(self):
        """The old base is kept, so that nothing changes if the mirror does not answer."""
        write_file(self.renew, "")

    def mark_current(self):
        if os.path.exists(self.renew):
            os.remove(self.renew)

    def need(self):
        """Makes the base if there is none, or if it is outdated."""
        existing = self.folder.base_layer(self.key)
        if existing and os.path.isdir(self.folder.layer(existing)) and os.path.isdir(self.root) and \
                (self.lock or not os.path.exists(self.renew)):
            self._follow_mirror()
        else:
            self._make()

    def sources_list(self):
        return read_file(f"{self.root}/etc/apt/sources.list")

    def update_lists(self, box=None):
        (box or self.box).run(*APT, "update", network=True)

    def update_if_old(self, box):
        """Fetches package lists into the box: old ones may name packages that the archive has replaced."""
        lists = f"{box.root}/var/lib/apt/lists"
        times = [os.path.getmtime(f"{lists}/{name}") for name in os.listdir(lists) if "Packages" in name]
        if not times or max(times) < time.time() - LISTS_SECONDS:
            self.update_lists(box)

    def _follow_mirror(self):
        """An existing base remembers the mirror it was made from.  A mirror given later replaces it."""
        given = self.mirrors.given("Ubuntu" if is_ubuntu(self.suite) else "Debian")
        wanted = given and self.mirrors.sources_list(self.suite)
        if not given or wanted == self.sources_list():
            return
        if self.lock:
            write_file(f"{self.root}/etc/apt/sources.list", wanted)
            return
        say(f"base of {self.suite}: packages now come from {given}")
        write_file(f"{self.root}/etc/apt/sources.list", wanted)
        try:
            self.update_lists()
        except BoxFailure as error:
            raise Failure(f"{error.output}\nthe base of {self.suite}: the mirror cannot be used (reason above)"
                          ) from None

    def _keyring(self):
        """The file of the key that signs the suite's archive, or None if apt already trusts it."""
        debian = f"{KEYS}/debian-archive-keyring.gpg"
        if not is_ubuntu(self.suite):
            # Ubuntu's package of Debian's keys installs them here without making apt trust them.
            return debian if os.path.exists(debian) else None
        if os.path.exists(f"{KEYS}/ubuntu-archive-keyring.gpg"):
            return f"{KEYS}/ubuntu-archive-keyring.gpg"
        mirror = self.mirrors.given("Debian") or machine_mirror("Debian", "/debian/?$") or ""
        done = subprocess.run(["sh", "-c", '. "$1"; ubuntu_keys "$2" "$3"', "-", f"{HERE}/../keys.sh",
                               self.folder.build, mirror], check=False)
        if done.returncode != 0:
            raise Failure(f"the base of {self.suite} needs keys")
        return f"{self.folder.build}/ubuntu-archive-keyring.gpg"

    def _source(self):
        """Options of mmdebstrap and its sources.list."""
        if not self.lock:
            keyring = self._keyring()
            return [f"--keyring={keyring}"] if keyring else [], self.mirrors.sources_list(self.suite)
        artefacts = self.store.fetch_here(self.lock.artefacts, self.mirrors.sources_list(self.suite),
                                          f"base-{self.suite}")
        controls = [output_of("dpkg-deb", "-f", self.store.path(each)) for each in artefacts]
        self.store.write_index(f"base-{self.key}", self.suite, artefacts, controls)
        return [], f"deb [trusted=yes] copy:{self.store.folder}/apt base-{self.key}/\n"

    def known_artefacts(self):
        """The packages of the base that the package lists still have; all of them if there is a lock."""
        if self.lock:
            return self.lock.artefacts
        found = packages_of(f"{self.root}/var/lib/dpkg/status")
        try:
            shown = self.box.output("apt-cache", "show", *(f"{each['Package']}={each['Version']}" for each in found))
        except BoxFailure as error:  # one of them is not in the lists
            shown = error.output
        return [Artefact("apt", each["Package"], each["Version"], each["Filename"], int(each["Size"]), each["SHA256"])
                for each in map(fields_of, shown.split("\n\n")) if "SHA256" in each]

    def artefacts(self):
        """The packages of the base, of which the package lists must have each."""
        found = {(each.name, each.version): each for each in self.known_artefacts()}
        wanted = [(each["Package"], each["Version"]) for each in packages_of(f"{self.root}/var/lib/dpkg/status")]
        missing = [key for key in wanted if key not in found]
        if missing:
            raise Failure(f"the base of {self.suite}: {' '.join(missing[0])} is not in the package lists any more; "
                          "evalx-images update makes a new base")
        return [found[key] for key in wanted]

    def _make(self):
        self.folder.need_disk(NEEDED_BYTES, f"the base of {self.suite}")
        say(f"base of {self.suite}: unpacking")
        new = f"{self.root}.new"
        remove_tree(new)
        options, sources = self._source()
        options += [f"--dpkgopt=path-exclude=/{path}/*" for path in layer.USELESS]
        options += [f"--aptopt={line}" for line in apt_options()]
        # Ubuntu's minimal root lacks apt.
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=apt",
                   "--dpkgopt=force-unsafe-io", *options, '--aptopt=Acquire::Languages "none"', "--skip=cleanup/apt",
                   self.suite, new, "-"]
        try:
            subprocess.run(command, input=sources, text=True, check=True)
        except FileNotFoundError:
            raise Failure("mmdebstrap is missing: sudo apt-get install mmdebstrap") from None
        except subprocess.CalledProcessError:
            raise Failure(f"the base of {self.suite} could not be made (reason above); check the mirror and the key "
                          "of its archive") from None
        write_file(f"{new}/etc/apt/sources.list", self.mirrors.sources_list(self.suite))
        write_file(f"{new}/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)  # packages must not start services
        for section in range(1, 9):  # update-alternatives puts links there
            os.makedirs(f"{new}/usr/share/man/man{section}", exist_ok=True)
        Box(new, self.box.log).run(*APT, "check")  # creates apt's index once for all layers
        self._put(new)

    def _put(self, new):
        stripped = f"{self.folder.build}/base.new"
        name = f"{self.suite}_{timestamp()}"
        remove_tree(stripped)
        subprocess.run(["cp", "-a", "--reflink=auto", new, stripped], check=True)
        strip_base(stripped)
        os.rename(stripped, self.folder.layer(name))
        # Root and layer belong together: neither is used if this is interrupted before the last line.
        record = f"{self.folder.build}/{self.key}.base"
        if os.path.exists(record):
            os.remove(record)
        remove_tree(self.root)
        os.rename(new, self.root)
        write_file(record, f"{name}\n")
        self.mark_current()
        size = sum(found.st_blocks * 512 for _, found in layer.walk(self.folder.layer(name)))
        say(f"base of {self.suite}: {human(size)}")


def fields_of(stanza):
    return dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")


def packages_of(status):
    """The fields of each installed package in a file of dpkg."""
    found = (fields_of(stanza) for stanza in read_file(status).split("\n\n"))
    return [fields for fields in found if fields.get("Status", "").endswith(" installed")]


REMOVED = """usr/bin/apt* usr/bin/dpkg* usr/sbin/dpkg* usr/bin/update-alternatives usr/sbin/add-shell usr/bin/debconf*
    usr/lib/*/libapt-pkg* usr/lib/*/libapt-private* usr/sbin/adduser usr/sbin/user* usr/sbin/group*
    usr/bin/deb-systemd* usr/sbin/*pam* usr/sbin/invoke-rc.d usr/sbin/update-rc.d usr/sbin/service"""
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\nbox:x:1000:1000:box:/box:/bin/sh\n",
    "etc/group": "root:x:0:\nbox:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def strip_base(root):
    for path in [*layer.USERS, "var/lib/dpkg"]:
        remove_tree(f"{root}/{path}")
    for pattern in REMOVED.split():
        for path in glob.glob(f"{root}/{pattern}"):
            remove_tree(path)
    layer.strip(root)
    for path, text in FILES.items():
        write_file(f"{root}/{path}", text)
