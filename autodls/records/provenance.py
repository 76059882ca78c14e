"""provenance.json: which command, of which versions, made the files of a folder, from what, and on what processor.

No time, no user, no name of a machine and no path stands in it: the same run gives the same bytes wherever the
conditions are the same on which numbers depend, which it names.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from autodls import __version__
from autodls.errors import InputError
from autodls.machine import processor, usable_cores
from autodls.records.base import Record
from autodls.records.files import sha256_of_file

PYTHON = "python"
HIDDEN = "PATH"
_OF_PATHS = (  # and names of ROIs, as a header has them
    "-d", "--dataset", "-w", "--workspace", "-i", "--input", "-o", "--output", "-m", "--model", "--scores", "--log",
    "--confidential", "--labels", "--roi-name", "--table",
    "--dicom", "--series",  # a series may be named by the unique id that a patient's study has
)  # fmt: skip
_OUTSIDE = (
    "clinical.csv",
    "clinical.xlsx",
    "dataset.json",
    "labels.json",
    "model.json",
)  # names that we chose: another, such as that of a table, is a person's choice
_LIBRARIES = (
    "batchgenerators", "lifelines", "monai", "nnunetv2", "numpy", "pandas", "safetensors", "scikit-learn", "scipy",
    "SimpleITK", "statsmodels", "torch",
)  # fmt: skip


class Conditions(Record):
    """What the bytes of a result may depend on besides what it was made from."""

    processor: str = Field(description="its kind, and which instructions it has that libraries choose by")
    cores: int = Field(description="that the process could use")
    omp_num_threads: str | None = Field(description="the variable OMP_NUM_THREADS, null where it is not set")
    precision: str | None = Field(
        default=None, description="in which networks were computed, and where; null where none were, or it is not known"
    )

    @classmethod
    def here(cls, precision: str | None) -> "Conditions":
        """Those of this process."""
        threads = os.environ.get("OMP_NUM_THREADS")
        return cls(processor=processor(), cores=usable_cores(), omp_num_threads=threads, precision=precision)


class Made(Record):
    """What one command made; `made_from` and `files` hold SHA-256 by the file's name in the folder."""

    command: tuple[str, ...] = Field(description="as it was typed, with PATH in the place of every path")
    seed: int | None = Field(description="of what was drawn; null where nothing was")
    versions: dict[str, str] = Field(description="of AutoDLS, Python and libraries")
    made_from: dict[str, str] = Field(description="SHA-256 of what was read")
    files: dict[str, str] = Field(description="SHA-256 of what was written")
    conditions: Conditions | None = Field(default=None, description="null in records of older versions")

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As older versions wrote it where they did: the seal is over these bytes."""
        content: dict[str, Any] = write(self)
        return content if self.conditions is not None else {k: v for k, v in content.items() if k != "conditions"}


class Provenance(Record):
    """The last run of every command that wrote to a folder."""

    format: Literal["autodls-provenance/1"] = "autodls-provenance/1"
    commands: dict[str, Made] = Field(default_factory=dict, description="by name: what its last run made")
    record_sha256: str | None = Field(
        default=None, description="SHA-256 of this record without this field; absent from older versions"
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As older versions wrote it where there is no seal."""
        content: dict[str, Any] = write(self)
        return content if self.record_sha256 is not None else {k: v for k, v in content.items() if k != "record_sha256"}

    def sealed(self) -> "Provenance":
        """This record with `record_sha256` filled in, so that a later edit of any field shows."""
        return self.model_copy(update={"record_sha256": self._content_sha256()})

    @property
    def is_altered(self) -> bool:
        """Whether a field was edited since the record was sealed; False where it never was."""
        return self.record_sha256 not in (None, self._content_sha256())

    def _content_sha256(self) -> str:
        return self.model_copy(update={"record_sha256": None}).sha256()

    def changed_for(self, root: Path, paths: Iterable[Path]) -> dict[str, tuple[str, ...]]:
        """By command, those of `paths` that it was made from and that are others now; `root` is the folder."""
        now = hashes_of(root, paths)
        changed = {
            name: tuple(one for one, sha256 in now.items() if made.made_from.get(one, sha256) != sha256)
            for name, made in self.commands.items()
        }
        return {name: files for name, files in changed.items() if files}

    @classmethod
    def beside(cls, path: Path) -> "Provenance":
        """What `path` holds; nothing where there is none that can be read, or it was altered since it was sealed."""
        try:
            found = cls.load(path, "run the command again")
        except InputError:
            return cls()
        return cls() if found.is_altered else found


def record_run(
    path: Path,
    name: str,
    typed: Sequence[str],
    seed: int | None,
    made_from: Iterable[Path],
    files: Iterable[Path],
    precision: str | None = None,
) -> None:
    """Write into `path` that the command `name`, `typed` with its arguments, made `files` from `made_from`.

    Files are named as seen from the folder of `path`, those outside by their last name where it is one of ours,
    else as PATH; files that are not there are left out.
    """
    made = Made(
        command=without_paths(typed),
        seed=seed,
        versions=versions(),
        made_from=hashes_of(path.parent, made_from),
        files=hashes_of(path.parent, files),
        conditions=Conditions.here(precision),
    )
    known = Provenance.beside(path).commands
    Provenance(commands=dict(sorted({**known, name: made}.items()))).sealed().save(path)


def hashes_of(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of those of `paths` that are files, by the name that a record in the folder `root` has for them."""
    named = {_name(root, path): path for path in paths if path.is_file()}
    return {name: sha256_of_file(path) for name, path in sorted(named.items())}


def _name(root: Path, path: Path) -> str:
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.name if path.name in _OUTSIDE else HIDDEN


@cache
def versions() -> dict[str, str]:
    """Versions of autodls, Python and the libraries that numbers depend on."""
    return {"autodls": __version__, "python": platform.python_version(), **_installed()}


def _installed() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def without_paths(typed: Sequence[str]) -> tuple[str, ...]:
    """A command line with `PATH` in the place of what is, or may be, a path: it may hold a person's name.

    What was not typed but called from Python starts with that word, and what called it: a name, never a path.

    >>> without_paths(["/usr/bin/autodls", "predict", "-i", "/home/ann/in", "--output=../out", "--rois", "manual"])
    ('autodls', 'predict', '-i', 'PATH', '--output=PATH', '--rois', 'manual')
    >>> without_paths(["python", "/home/ann/study.py"])
    ('python', 'study.py')
    """
    if typed[0] == PYTHON:
        return (PYTHON, *(PurePath(word).name for word in typed[1:]))
    return ("autodls", *(_without_path(before, word) for before, word in pairwise(typed)))


def _without_path(before: str, word: str) -> str:
    """`word`, which stands after `before`; a short option may have its value attached, as in -oOUT."""
    if word.startswith("--"):
        option, equals, value = word.partition("=")
    elif word.startswith("-"):
        option, value = word[:2], word[2:].removeprefix("=")
        equals = "=" * (len(word) - len(option) - len(value))
    else:
        option, equals, value = "", "", word
    is_path = value and ((option or before) in _OF_PATHS or any(sign in value for sign in "/\\~") or _exists(value))
    return f"{option}{equals}{HIDDEN if is_path else value}"


def _exists(value: str) -> bool:
    """Whether `value` is a path; what is too long for one, such as a list of cases, is none."""
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False
