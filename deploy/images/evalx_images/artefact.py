"""artefact: a file of a registry that an image is made from."""
import dataclasses
import urllib.parse


@dataclasses.dataclass(frozen=True)
class Artefact:
    source: str       # "apt", or a registry: "pypi", "npm", "maven", "gomod", "crates"
    name: str
    version: str
    file: str         # its path below the address of the mirror or registry; an address if it comes from elsewhere
    size: int = 0     # bytes; 0 until it is fetched, if the registry does not say
    sha256: str = ""  # empty until it is fetched, if the registry does not say
    place: str = ""   # npm: its folder; crates: "manifest" if no program needs more of it than its Cargo.toml

    def __str__(self):
        return f"{self.source} {self.name} {self.version}"

    def purl(self, distribution):
        """The package URL of a bill of materials; `distribution` is debian or ubuntu."""
        kind = {"apt": f"deb/{distribution}", "gomod": "golang", "crates": "cargo"}.get(self.source, self.source)
        name = self.name.replace(":", "/") if self.source == "maven" else self.name
        return f"pkg:{kind}/{urllib.parse.quote(name, safe='/')}@{urllib.parse.quote(self.version, safe='')}"


def to_json(artefact):
    return {key: value for key, value in dataclasses.asdict(artefact).items() if value}


def from_json(value):
    return Artefact(**value)
