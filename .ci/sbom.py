"""What a release is made of, as CycloneDX JSON: every distribution of the lock with its hashes, licences as installed.

    .ci/sbom.py DIST    for the wheel in folder DIST; writes NAME-VERSION.cdx.json beside it

Required is what `requirements.txt` has for every system; optional what it has for some, what a GPU or an extra needs,
and ImageNet weights. Licences and who needs whom are of the distributions that are installed here, as they say it
themselves. It holds no date but that of the commit (SOURCE_DATE_EPOCH), so that one environment gives one file.
"""

import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = frozenset({"dev", "docs"})  # extras of whoever works on the source
DEFAULT_EPOCH = 1577836800  # 2020-01-01, as hatchling has it
_LONGEST_NAME = 80  # of a licence; what is longer is its text
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """A distribution of the lock: `marker` says on which systems, "" on all."""

    name: str
    version: str
    marker: str
    sha256: tuple[str, ...]
    file: str

    @property
    def is_required(self) -> bool:
        """Whether every installation has it."""
        return self.file == "requirements.txt" and not self.marker


def pins() -> dict[str, Pin]:
    """Every distribution of every file of the lock, by name."""
    found: dict[str, Pin] = {}
    for file in ("requirements.txt", "requirements-cuda.txt", "requirements-dev.txt", "requirements-cluster.txt"):
        for name, version, marker, hashes in _PIN.findall((ROOT / file).read_text()):
            sha256 = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes))
            found.setdefault(canonicalize_name(name), Pin(canonicalize_name(name), version, marker, sha256, file))
    return found


def needed_by(requirement: Requirement) -> list[Requirement]:
    """What an installed distribution needs here, with the extras that are asked of it; nothing where it is not here."""
    try:
        asked = distribution(requirement.name).requires or []
    except PackageNotFoundError:
        return []
    extras = [{"extra": one} for one in ("", *requirement.extras)]
    found = map(Requirement, asked)
    return [one for one in found if one.marker is None or any(one.marker.evaluate(extra) for extra in extras)]


def closure(asked: Iterable[str]) -> set[str]:
    """Names of all distributions that these requirements lead to here, themselves included."""
    waiting, seen = list(map(Requirement, asked)), set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), *sorted(one.extras))
        if key not in seen:
            seen.add(key)
            waiting += needed_by(one)
    return {name for name, *_ in seen}


def licences(said: Message) -> Iterator[License]:
    """As a distribution names them: its expression, else a short name, else its classifiers."""
    make, expression, name = LicenseFactory(), said.get("License-Expression"), (said.get("License") or "").strip()
    if expression:
        yield make.make_from_string(expression)
    elif 0 < len(name) <= _LONGEST_NAME and "\n" not in name and name != "UNKNOWN":
        yield make.make_from_string(name)
    else:
        for classifier in said.get_all("Classifier") or []:
            if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved"):
                yield DisjunctiveLicense(name=classifier.rpartition(" :: ")[2])


def component_of(pin: Pin, extras: Iterable[str]) -> Component:
    """The component of a pin; its hashes are those of the files, one of which an installation takes."""
    try:
        said = distribution(pin.name).metadata
        known = list(licences(said)) if distribution(pin.name).version.split("+")[0] == pin.version else []
    except PackageNotFoundError:
        known = []
    url = PackageURL("pypi", None, pin.name, pin.version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in pin.sha256]
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(url.to_string()),
        hashes=hashes,
        comment="SHA-256 of every file of this version that the lock allows; one of them is installed",
    )
    more = [*(("autodls:extra", one) for one in extras), *([("autodls:marker", pin.marker)] if pin.marker else [])]
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=url.to_string(),
        purl=url,
        scope=ComponentScope.REQUIRED if pin.is_required else ComponentScope.OPTIONAL,
        licenses=known,
        external_references=[files],
        properties=[Property(name=name, value=value) for name, value in more],
    )


def weights() -> Iterator[Component]:
    """ImageNet weights that a plan may start from; those that come with no distribution are fetched when needed."""
    from autodls.records.encoders import ENCODER_SPECS

    for encoder, spec in ENCODER_SPECS.items():
        if spec.imagenet is not None:
            known = [HashType(alg=HashAlgorithm.SHA_256, content=spec.imagenet.sha256)] if spec.imagenet.sha256 else []
            yield Component(
                name=spec.imagenet.file,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                bom_ref=f"weights:{encoder}",
                scope=ComponentScope.OPTIONAL,
                hashes=known,
                description=f"ImageNet weights of {encoder}, where a plan names them; the name ends in first digits "
                "of the SHA-256, which are checked",
            )


def file_reference(path: Path) -> ExternalReference:
    """A file of the release by its name and hash."""
    sha256 = HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())
    return ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(path.name), hashes=[sha256])


def bill(folder: Path) -> Bom:
    """Of the release in `folder`."""
    (wheel,) = folder.glob("*.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = wheel.name.split("-")[1]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name not in NOT_SHIPPED}
    reached = {name: closure(needs) for name, needs in extras.items()}
    locked = pins()
    shipped = {
        name: component_of(pin, [extra for extra, names in reached.items() if name in names] if more else [])
        for name, pin in sorted(locked.items())
        if not (more := pin.file in ("requirements-dev.txt", "requirements-cluster.txt"))
        or any(name in names for names in reached.values())
    }
    root = Component(
        name="autodls",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"pkg:pypi/autodls@{version}",
        purl=PackageURL("pypi", None, "autodls", version),
        description=project["description"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
        external_references=[file_reference(path) for path in (wheel, *folder.glob("*.tar.gz"))],
    )
    content = wheel.read_bytes()
    bom = Bom(
        components=[*shipped.values(), *weights()],
        serial_number=uuid5(NAMESPACE_OID, hashlib.sha256(content).hexdigest()),
    )
    bom.metadata.component = root
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", DEFAULT_EPOCH)), UTC)
    bom.metadata.tools.components.add(this_component())
    asked = [*project["dependencies"], *(one for needs in extras.values() for one in needs)]
    bom.register_dependency(root, _those(shipped, map(Requirement, asked)))
    for name, component in shipped.items():
        bom.register_dependency(component, _those(shipped, needed_by(Requirement(name))))
    return bom


def _those(shipped: dict[str, Component], asked: Iterable[Requirement]) -> list[Component]:
    names = sorted({canonicalize_name(one.name) for one in asked})
    return [shipped[name] for name in names if name in shipped]


def text_of(bom: Bom) -> str:
    """JSON of the bill; raises ValueError where it is not as CycloneDX 1.6 has it."""
    text = str(JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ValueError(f"the bill of materials is not valid CycloneDX 1.6: {str(fault).splitlines()[0][:300]}")
    return text


def main(folder: Path) -> None:
    """Write the bill beside the wheel."""
    bom = bill(folder)
    path = folder / f"autodls-{bom.metadata.component.version}.cdx.json"
    path.write_text(text_of(bom), encoding="utf-8")
    unknown = sorted(one.name for one in bom.components if one.purl and not one.licenses)
    sys.stdout.write(f"{path}: {len(bom.components)} components, no licence known of {', '.join(unknown) or 'none'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
