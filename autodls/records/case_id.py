"""Case ids become file names on every system that a dataset or a model travels to."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

MAX_LENGTH = 100
# Small letters, as `casefold` gives them, by the Latin letter that they, or their capitals, look like.
_LATIN = str.maketrans("авекмнорстухіјѕԁԛԝһαβεηικμνορτυχζ", "abekmhopctyxijsdqwhabehikmvoptyxz")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows opens a device, not a file


def case_id_fault(case_id: str) -> str | None:
    """Why `case_id` is not a safe file name; None where it is one.

    >>> case_id_fault("TCGA-HT_7473.a") is None
    True
    >>> case_id_fault("../x")
    "holds '/'"
    >>> case_id_fault("nul")
    'is a device name on Windows'
    """
    if not case_id:
        return "is empty"
    if unsafe := re.search(r"[^A-Za-z0-9_.-]", case_id):
        return f"holds '{unsafe[0]}'"
    if case_id[0] in "-." or case_id[-1] == ".":
        return "starts with '-' or '.', or ends with '.'"
    if len(case_id) > MAX_LENGTH:
        return f"has {len(case_id)} characters, more than {MAX_LENGTH}"
    return "is a device name on Windows" if _DEVICE.fullmatch(case_id) else None


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that a person, or a file system that ignores case, takes for one.

    Names are compared in compatible spelling (Unicode NFKC), without case, blanks and signs that are not seen; Cyrillic
    and Greek letters count as the Latin ones that they look like.

    >>> look_alikes(["A1", "B1", "a1", "B\u200b1", "tra\u0456n", "train"])
    [('A1', 'a1'), ('B1', 'B\u200b1'), ('train', 'tra\u0456n')]
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[_skeleton(name)].add(name)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]


def _skeleton(name: str) -> str:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in plain if unicodedata.category(sign) not in ("Cf", "Cc", "Zs")).translate(_LATIN)


def mixes_scripts(name: str) -> bool:
    """Whether `name` has Latin letters beside Cyrillic or Greek ones, as no word of one language has.

    >>> mixes_scripts("tra\u0456n"), mixes_scripts("Zürich"), mixes_scripts("Київ 1")
    (True, False, False)
    """
    scripts = {unicodedata.name(sign, "").split(" ")[0] for sign in name if sign.isalpha()}
    return "LATIN" in scripts and bool(scripts & {"CYRILLIC", "GREEK"})
