"""maven: artifacts of a Maven repository with all they need at run time.

What an artifact needs is read from its POM by Maven's rules: a version nearer to the root wins, then the first one; the
root's dependencyManagement has no entries.  Maven itself is not used: it needs a JVM and a hundred plugins of its own.
"""
import re
import xml.etree.ElementTree as ElementTree

from artefact import Artefact
from common import Failure
from store import download_text
from unpack import Target

FOLDER = "usr/local/share/java"
DEPTH_MAX = 12
PROPERTY = re.compile(r"\$\{([^}]+)\}")


def text_of(element, name, default=""):
    found = element.find(name) if element is not None else None
    return (found.text or "").strip() if found is not None else default


class Pom:
    """A POM with what its parents say."""

    def __init__(self, repository, group, name, version):
        root = repository.document(group, name, version)
        self.parent = None
        parent = root.find("parent")
        if parent is not None:
            self.parent = repository.pom(*(text_of(parent, key) for key in ("groupId", "artifactId", "version")))
        self.properties = dict(self.parent.properties) if self.parent else {}
        for each in root.findall("properties/*"):
            self.properties[each.tag] = (each.text or "").strip()
        for prefix in ("project.", "pom.", ""):
            self.properties.update({f"{prefix}groupId": group, f"{prefix}artifactId": name,
                                    f"{prefix}version": version})
        if self.parent:
            for key in ("groupId", "version"):
                self.properties[f"project.parent.{key}"] = self.parent.properties[f"project.{key}"]
        self.packaging = text_of(root, "packaging", "jar")
        self.managed = dict(self.parent.managed) if self.parent else {}
        for each in root.findall("dependencyManagement/dependencies/dependency"):
            entry = self._dependency(each)
            if entry["scope"] == "import":
                imported = repository.pom(*entry["key"], entry["version"]).managed
                self.managed = {**imported, **self.managed}
            else:
                self.managed[entry["id"]] = entry
        self.dependencies = dict(self.parent.dependencies) if self.parent else {}
        for each in root.findall("dependencies/dependency"):
            entry = self._dependency(each)
            self.dependencies[entry["id"]] = entry
        relocation = root.find("distributionManagement/relocation")
        self.relocation = None
        if relocation is not None:
            self.relocation = tuple(self._fill(text_of(relocation, key, default)) for key, default in
                                    (("groupId", group), ("artifactId", name), ("version", version)))

    def _fill(self, text, depth=0):
        if depth > DEPTH_MAX:
            return text
        return PROPERTY.sub(lambda match: self._fill(self.properties.get(match[1], match[0]), depth + 1)
                            if match[1] in self.properties else match[0], text)

    def _dependency(self, element):
        values = {key: self._fill(text_of(element, key)) for key in
                  ("groupId", "artifactId", "version", "scope", "type", "classifier", "optional")}
        key = (values["groupId"], values["artifactId"])
        exclusions = {(self._fill(text_of(each, "groupId")), self._fill(text_of(each, "artifactId")))
                      for each in element.findall("exclusions/exclusion")}
        return {"key": key, "id": (*key, values["type"] or "jar", values["classifier"]), "version": values["version"],
                "scope": values["scope"], "classifier": values["classifier"], "type": values["type"] or "jar",
                "optional": values["optional"] == "true", "exclusions": exclusions}

    def needed(self):
        """The dependencies at run time, with the versions that the POM manages."""
        for entry in self.dependencies.values():
            managed = self.managed.get(entry["id"], {})
            version = entry["version"] or managed.get("version", "")
            scope = entry["scope"] or managed.get("scope") or "compile"
            if scope in ("compile", "runtime") and not entry["optional"] and entry["type"] in ("jar", "bundle"):
                yield {**entry, "version": version,
                       "exclusions": entry["exclusions"] | managed.get("exclusions", set())}


class Repository:
    def __init__(self, work):
        self.box = work.box
        self.scratch = work.scratch
        self.address = work.mirrors.registry("maven")
        self.poms = {}

    def text(self, path):
        found = download_text(self.box, f"{self.address}/{path}", self.scratch)
        if found is None:
            raise Failure(f"maven: cannot fetch {self.address}/{path}")
        return found

    def document(self, group, name, version):
        return parsed(self.text(path_of(group, name, version, "pom")))

    def pom(self, group, name, version):
        key = (group, name, version)
        if key not in self.poms:
            self.poms[key] = Pom(self, *key)
        return self.poms[key]

    def newest(self, group, name):
        document = parsed(self.text(f"{group.replace('.', '/')}/{name}/maven-metadata.xml"))
        return text_of(document, "versioning/release") or text_of(document, "versioning/latest")


def parsed(text):
    """Without namespaces, which some POMs leave out."""
    root = ElementTree.fromstring(text.encode())
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def path_of(group, name, version, suffix, classifier=""):
    end = f"-{classifier}.{suffix}" if classifier else f".{suffix}"
    return f"{group.replace('.', '/')}/{name}/{version}/{name}-{version}{end}"


def exact(version):
    """[1.2,2.0) and [1.2] as their lowest version."""
    return version.strip("[]() ").split(",")[0] if version[:1] in "[(" else version


def resolve(work, words):
    repository = Repository(work)
    chosen = {}
    level = []
    for word in words:
        group, name, *version = word.split(":")
        level.append(((group, name), version[0] if version else repository.newest(group, name), "", frozenset()))
    while level:
        following = []
        for key, version, classifier, excluded in level:
            if (key, classifier) in chosen:
                continue
            pom = repository.pom(*key, exact(version))
            if pom.relocation:
                following.append((pom.relocation[:2], pom.relocation[2], classifier, excluded))
                chosen[key, classifier] = None
                continue
            chosen[key, classifier] = (exact(version), pom.packaging)
            for entry in pom.needed():
                barred = excluded | entry["exclusions"]
                if not {entry["key"], (entry["key"][0], "*"), ("*", "*")} & excluded:
                    following.append((entry["key"], entry["version"], entry["classifier"], frozenset(barred)))
        level = following
    artefacts = [Artefact("maven", ":".join(key), found[0], path_of(*key, found[0], "jar", classifier))
                 for (key, classifier), found in chosen.items() if found and found[1] != "pom"]
    return work.fetch(artefacts)


def install(work, artefacts):
    target = Target(work.root)
    taken = {}
    for artefact in artefacts:
        base = artefact.file.rpartition("/")[2]
        name = artefact.name.partition(":")[2]
        classifier = base.removeprefix(f"{name}-{artefact.version}").removesuffix(".jar")
        place = f"{name}{classifier}.jar"
        if place in taken:
            raise Failure(f"{work.name}: {artefact} and {taken[place]} both would be {FOLDER}/{place}")
        taken[place] = artefact
        with open(work.store.path(artefact), "rb") as file:
            target.write(f"{FOLDER}/{place}", file)
