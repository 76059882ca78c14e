"""Which case a file belongs to, and what it is of it, by its name and the folders above it; no file is opened.

A file is of the case whose id stands in its path as a whole word: CASE_0000.nii.gz, CASE_T1.nii.gz, CASE/T1.nii.gz,
images/CASE.nii.gz. What is left of the path without the id is its role, the same for every case.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import DatasetError
from autodls.intake.channels import sequence_of
from autodls.records.base import some_of
from autodls.records.case_id import skeleton
from autodls.records.dataset import FILE_ENDINGS

MOST_FILES = 200_000
_WORD = re.compile(r"[A-Za-z0-9+]+")
_DICOM = (".dcm", ".ima")


@dataclass(frozen=True)
class CaseFile:
    """A file, its case, and its role: what its path says besides the case."""

    path: Path
    case: str
    role: str


@dataclass(frozen=True)
class Ids:
    """Ids of cases, also by how a spreadsheet may have spelled them: 7 for 007."""

    exact: Mapping[str, str]
    alike: Mapping[str, str]

    @classmethod
    def of(cls, ids: Iterable[str]) -> "Ids":
        """Those of the rows of a table; one that looks like another is found by its own spelling alone.

        An id that stands in two rows is one id: that it does is for `check` to say.
        """
        names = list(dict.fromkeys(ids))
        counts = Counter(map(skeleton, names))
        alike = {skeleton(name): name for name in names if counts[skeleton(name)] == 1}
        return cls({name.casefold(): name for name in names}, alike)


def list_images(folder: Path) -> tuple[list[Path], str]:
    """The images below `folder` in a fixed order, and how their names end; links to folders are not followed.

    Raises DatasetError where there are none, or of several kinds: a dataset has one.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    dicom: list[Path] = []
    for seen, path in enumerate(_walked(folder)):
        if seen == MOST_FILES:
            raise DatasetError(f"{folder}: holds more than {MOST_FILES} files; name the folder of the images alone")
        if (ending := ending_of(path.name)) is not None:
            found[ending].append(path)
        elif path.suffix.lower() in _DICOM:
            dicom.append(path)
    if not found and dicom:
        raise DatasetError(f"{folder}: holds DICOM ({dicom[0].name}); 'autodls import' makes a dataset of it")
    if not found:
        raise DatasetError(f"{folder}: no image below it; expected files that end in {', '.join(FILE_ENDINGS)}")
    if len(found) > 1:
        kinds = ", ".join(f"{len(paths)} '{ending}' ({paths[0].name})" for ending, paths in sorted(found.items()))
        raise DatasetError(f"{folder}: holds images of several kinds: {kinds}; convert them to '.nii.gz', or move some")
    ((ending, paths),) = found.items()
    return sorted(paths), ending


def ending_of(name: str) -> str | None:
    """How the name of an image ends, in the spelling of the dataset format; None for any other file.

    >>> ending_of("a.nii.gz"), ending_of("a.nii"), ending_of("a.txt")
    ('.nii.gz', '.nii', None)
    """
    return next((ending for ending in FILE_ENDINGS if name.endswith(ending) and name != ending), None)


def _walked(folder: Path) -> Iterator[Path]:
    def fail(failure: OSError) -> None:
        raise DatasetError(f"{failure.filename}: cannot be listed ({failure.strerror}); check the folder") from None

    for at, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(at, name) for name in sorted(files) if not name.startswith("."))


def files_of_cases(folder: Path, paths: Sequence[Path], ending: str, ids: Ids) -> tuple[list[CaseFile], list[Path]]:
    """The files of cases with their roles, words that all roles share left out, and the files of no case."""
    found, others = [], []
    for path in paths:
        parts = [*path.relative_to(folder).parts[:-1], path.name.removesuffix(ending)]
        claimed = claim(parts, ids)
        if claimed is None:
            others.append(path)
        else:
            found.append(CaseFile(path, claimed[0], claimed[1]))
    return _short(found), others


def claim(parts: Sequence[str], ids: Ids) -> tuple[str, str] | None:
    """The case of a path, and its role; the folder nearest to the top that names a case decides. None where none does.

    >>> ids = Ids.of(["PH1", "PH1_a", "7"])
    >>> claim(["images", "PH1_T1"], ids), claim(["PH1_a", "anat", "PH1_a_T2w"], ids), claim(["sub-007", "T1"], ids)
    (('PH1', 'images/T1'), ('PH1_a', 'anat/T2w'), ('7', 'sub/T1'))
    >>> claim(["PH12_T1"], ids) is None
    True
    """
    for at, part in enumerate(parts):
        if (place := _place(part, ids)) is not None:
            start, end, case = place
            token = part[start:end].casefold()
            below = [_without(one, token) for one in parts[at + 1 :]]
            words = [_words(one) for one in (*parts[:at], f"{part[:start]} {part[end:]}", *below)]
            return case, "/".join(word for word in words if word)
    return None


def _place(part: str, ids: Ids) -> tuple[int, int, str] | None:
    """Where the longest id stands in a name as whole words, in its own spelling before any other."""
    plain = part.casefold()
    if len(plain) != len(part):
        return None
    starts = [at for at in range(len(part)) if part[at].isalnum() and (at == 0 or not part[at - 1].isalnum())]
    ends = [at for at in range(1, len(part) + 1) if part[at - 1].isalnum() and not part[at : at + 1].isalnum()]
    spans = sorted(((s, e) for s in starts for e in ends if s < e), key=lambda span: (span[0] - span[1], span[0]))
    for start, end in spans:
        if plain[start:end] in ids.exact:
            return start, end, ids.exact[plain[start:end]]
    for start, end in spans:
        if any(sign.isdecimal() for sign in part[start:end]) and (known := ids.alike.get(skeleton(part[start:end]))):
            return start, end, known
    return None


def _without(part: str, token: str) -> str:
    return re.sub(rf"(?<![a-z0-9]){re.escape(token)}(?![a-z0-9])", " ", part, flags=re.IGNORECASE)


def _words(part: str) -> str:
    return "_".join(_WORD.findall(part))


def _short(files: list[CaseFile]) -> list[CaseFile]:
    """The same with roles that leave out the words of every role, where something is left of each."""
    roles = {file.role for file in files}
    words = {role: _WORD.findall(role) for role in roles}
    shared = set.intersection(*map(set, words.values())) if len(roles) > 1 else set()
    common = {word for word in shared if sequence_of(word) is None}
    left = {role: "/".join(filter(None, ("_".join(w for w in _WORD.findall(part) if w not in common)
                                         for part in role.split("/")))) for role in roles}  # fmt: skip
    names = left if len(set(left.values())) == len(roles) else {role: role for role in roles}
    return [CaseFile(file.path, file.case, names[file.role]) for file in files]


def by_role(folder: Path, files: Sequence[CaseFile]) -> dict[str, dict[str, Path]]:
    """The file of each case, by role; raises DatasetError where a case has two of one role."""
    found: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for file in files:
        known = found[file.role].setdefault(file.case, file.path)
        if known != file.path:
            two = some_of([str(path.relative_to(folder)) for path in (known, file.path)])
            raise DatasetError(
                f"{folder}: {two} would both be '{file.role or 'the file'}' of case {file.case}; move one away, "
                "or name a folder that holds one visit of each case"
            )
    return dict(sorted(found.items()))
