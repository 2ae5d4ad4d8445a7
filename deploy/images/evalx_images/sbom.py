"""sbom: the bill of materials of an image, in the form CycloneDX 1.6: IMAGE.cdx.json."""
import datetime
import json
import uuid

from artefact import Artefact
from mirrors import distribution


def component(artefact, suite):
    purl = artefact.purl(distribution(suite))
    found = {"type": "library", "bom-ref": purl, "name": artefact.name, "version": artefact.version, "purl": purl}
    if artefact.sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": artefact.sha256}]
    return found


def bill(name, suite, recipe, packages, artefacts):
    """`packages` are the installed packages of the distribution, fields of dpkg.  `artefacts` are those of the image,
    of the images below it and of its base; they know the checksums."""
    sums = {(each.name, each.version): each.sha256 for each in artefacts if each.source == "apt"}
    parts = [Artefact("apt", fields["Package"], fields["Version"], "",
                      sha256=sums.get((fields["Package"], fields["Version"]), "")) for fields in packages]
    # Of a Go module its archive counts, not the files that describe it.
    parts += [each for each in artefacts if each.source != "apt" and not each.file.endswith((".info", ".mod"))]
    components = {each["bom-ref"]: each for each in (component(part, suite) for part in parts)}
    return json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%FT%TZ"),
            "component": {"type": "container", "bom-ref": f"image:{name}", "name": name, "version": recipe},
        },
        "components": [components[key] for key in sorted(components)],
    }, indent=1) + "\n"
