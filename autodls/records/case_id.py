"""Case ids become file names on every system that a dataset or a model travels to."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from autodls.limits import MOST_NAME_SIGNS

MAX_LENGTH = 100
# Small letters, as `casefold` gives them, by the Latin letter that they, or their capitals, look like.
_LATIN = str.maketrans("авекмнорстухіјѕԁԛԝһαβεηικμνορτυχζ", "abekmhopctyxijsdqwhabehikmvoptyxz")
_WHOLE = re.compile(r"\+?\d+(\.\d*)?(e\+?\d{1,2})?", re.ASCII)
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)", re.ASCII)
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


def look_alikes(names: Iterable[str], *, numbers: bool = True) -> list[tuple[str, ...]]:
    """Groups of different names that a person, or a file system that ignores case, takes for one.

    Names are compared in compatible spelling (Unicode NFKC), without case, blanks and signs that are not seen; Cyrillic
    and Greek letters count as the Latin ones that they look like. One number is one name however a spreadsheet spells
    it (7, 7.0, 007), and so are names that differ in zeros before a number (P7, P007), but for `numbers` False.

    >>> look_alikes(["A1", "B1", "a1", "B\u200b1", "tra\u0456n", "train"])
    [('A1', 'a1'), ('B1', 'B\u200b1'), ('train', 'tra\u0456n')]
    >>> look_alikes(["7", "7.0", "014", "14", "1.1", "1.10", "P7", "P07"])
    [('7', '7.0'), ('014', '14'), ('P07', 'P7')]
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[skeleton(name) if numbers else _letters(name)].add(name)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]


def skeleton(name: str) -> str:
    """What is left of `name` of all that `look_alikes` takes no notice of.

    >>> skeleton("Ph 0007"), skeleton("7.00"), skeleton("1.2E+03")
    ('ph7', '7', '1200')
    """
    if len(name) > MOST_NAME_SIGNS:
        return name
    return _ZEROS.sub("", _whole(_letters(name)))


def _letters(name: str) -> str:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in plain if unicodedata.category(sign) not in ("Cf", "Cc", "Zs")).translate(_LATIN)


def _whole(text: str) -> str:
    """A whole number that a program has written as 7.0 or 1.2e+03, as 7 or 1200; any other text as it is."""
    if not _WHOLE.fullmatch(text):
        return text
    number = Decimal(text)
    return f"{number:f}".split(".")[0] if number == number.to_integral_value() else text


def mixes_scripts(name: str) -> bool:
    """Whether `name` has Latin letters beside Cyrillic or Greek ones, as no word of one language has.

    >>> mixes_scripts("tra\u0456n"), mixes_scripts("Zürich"), mixes_scripts("Київ 1")
    (True, False, False)
    """
    scripts = {unicodedata.name(sign, "").split(" ")[0] for sign in name if sign.isalpha()}
    return "LATIN" in scripts and bool(scripts & {"CYRILLIC", "GREEK"})
