"""mirrors: where packages come from."""
import re
import subprocess
import urllib.parse

from common import output_of

UBUNTU = ("bionic", "focal", "jammy", "noble", "oracular", "plucky", "questing", "resolute")
# Suites that change every day: their old packages are not kept.
MOVING = ("forky", "sid", "testing", "unstable", "experimental")
REGISTRIES = {"pypi": "https://files.pythonhosted.org", "npm": "https://registry.npmjs.org",
              "maven": "https://repo1.maven.org/maven2", "gomod": "https://proxy.golang.org",
              "crates": "https://static.crates.io/crates"}


def is_ubuntu(suite):
    return suite in UBUNTU


def distribution(suite):
    return "ubuntu" if is_ubuntu(suite) else "debian"


def machine_mirror(origin, pattern):
    """This machine's mirror of a distribution, or None."""
    targets = output_of("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages")
    for line in sorted(set(targets.splitlines())):
        found, _, address = line.partition(" ")
        if found == origin and re.search(pattern, address):
            return address.removesuffix("/")
    return None


class Mirrors:
    """`given` are values of --mirror: an address for apt, or REGISTRY=ADDRESS."""

    def __init__(self, given):
        self.registries = {}
        self.addresses = []
        for value in given:
            registry, sign, address = value.partition("=")
            if sign and registry in REGISTRIES:
                self.registries[registry] = address.rstrip("/")
            else:
                self.addresses.append(value.rstrip("/"))

    def given(self, origin):
        """The mirror of Debian or Ubuntu from --mirror, or None.  The path of a mirror of Ubuntu ends in "ubuntu"."""
        for address in self.addresses:
            if address.endswith("ubuntu") == (origin == "Ubuntu"):
                return address
        return None

    def sources_list(self, suite):
        """Lines for sources.list, with the fixes after the release."""
        origin = "Ubuntu" if is_ubuntu(suite) else "Debian"
        fixes = None
        address = self.given(origin)
        if not address:
            address = machine_mirror(origin, "/(debian|ubuntu)/?$")
            fixes = machine_mirror(origin, "security")
        if origin == "Ubuntu":
            address = address or "http://archive.ubuntu.com/ubuntu"
            return "".join(f"deb {at} {suite}{pocket} main universe\n" for at, pocket in
                           ((address, ""), (address, "-updates"), (fixes or address, "-security")))
        address = address or "http://deb.debian.org/debian"
        lines = f"deb {address} {suite} main\n"
        if suite not in ("sid", "unstable", "testing", "experimental"):
            # Security fixes are beside the main archive, also on mirrors.
            fixes = fixes or address.removesuffix("/debian") + "/debian-security"
            lines += f"deb {address} {suite}-updates main\ndeb {fixes} {suite}-security main\n"
        return lines

    def registry(self, source):
        return self.registries.get(source, REGISTRIES[source])

    def address(self, artefact, sources_list):
        """The address of an artefact; `sources_list` is that of the root that it is fetched for."""
        if "://" in artefact.file:
            return artefact.file
        if artefact.source != "apt":
            base = self.registry(artefact.source)
        else:
            lines = [line.split() for line in sources_list.splitlines()]
            # Debian's security fixes are an archive of their own.
            is_fix = artefact.file.startswith("pool/updates/")
            base = next(words[1] for words in lines if not is_fix or words[2].endswith("-security"))
        return f"{base}/{urllib.parse.quote(artefact.file, safe='/@!:,+~')}"


def apt_options():
    """Settings of this machine's apt for proxies and trust, which apt in a root needs too."""
    settings = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in settings.splitlines()
            if re.match(r"Acquire::(https?::|Check-|Retries|AllowInsecure)", line) and '""' not in line]
