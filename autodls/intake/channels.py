"""What a role is: an ROI, or a sequence and by which name."""

import re
from collections.abc import Iterable, Mapping, Sequence

_ROI = {
    "annotation", "annotations", "contour", "contours", "delineation", "gt", "gtv", "gtvn", "gtvp", "gtvt", "label",
    "labels", "labelstr", "lesion", "lesions", "mask", "masks", "roi", "rois", "seg", "segs", "segmentation",
    "segmentations", "tumor", "tumors", "tumour", "tumours",
}  # fmt: skip
_T1 = r"t1(?:wi|w)?"
_AGENT = r"(?:ce|c|gd|gad|gado|post|contrast|postcontrast|km|\+c|\+gd|c\+)"
_SEQUENCES = {
    "CE-T1WI": rf"{_T1}-?{_AGENT}|(?:ce|c|gd|gad|post|contrast|postcontrast)-?{_T1}|t1ce(?:wi|w)?|cet1(?:wi|w)?",
    "FLAIR": r"(?:t2-?)?(?:flair|tirm)|t2f",
    "T1WI": rf"{_T1}|t1n|{_T1}-?(?:pre|nativ|native)",
    "T2WI": r"t2(?:wi|w)?(?:-?tse|-?fse)?",
    "CT": r"ct",
    "PET": r"pet|pt|suv",
    "ADC": r"adc",
    "DWI": r"dwi|b1000",
}
_INDEX = re.compile(r"\d{4}", re.ASCII)


def is_roi(role: str) -> bool:
    """Whether a role says that it is an ROI.

    >>> is_roi("T1_mask"), is_roi("labelsTr"), is_roi("T1"), is_roi("GTVp")
    (True, True, False, True)
    """
    return any(word.lower() in _ROI for word in re.findall(r"[A-Za-z0-9]+", role))


def drawn_on(role: str) -> str:
    """What is left of the role of an ROI: the channel that it is of, "" where it says none.

    >>> drawn_on("masks/T1"), drawn_on("seg")
    ('T1', '')
    """
    return "_".join(word for word in re.findall(r"[A-Za-z0-9+]+", role) if word.lower() not in _ROI)


def sequence_of(role: str) -> str | None:
    """The sequence that a role names, None where it names none that is known.

    >>> [sequence_of(role) for role in ("anat/T1w", "t1_gd", "ce-T1WI", "T2", "t2_flair", "series_5")]
    ['T1WI', 'CE-T1WI', 'CE-T1WI', 'T2WI', 'FLAIR', None]
    """
    plain = re.sub(r"[^a-z0-9+]+", "-", role.lower()).strip("-")
    for name, pattern in _SEQUENCES.items():
        if re.search(rf"(?:^|-)(?:{pattern})(?:-|$)", plain):
            return name
    return None


def is_index(role: str) -> bool:
    """Whether a role is nnU-Net's number of a channel, which says nothing of the sequence."""
    return bool(_INDEX.fullmatch(role.rpartition("/")[2]))


def channel_names(roles: Sequence[str], given: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """Of each image role the name of its channel, and whether that is a guess: those `given`, else by what it says.

    A name that two roles would have is given to neither.

    >>> channel_names(["T1", "t1w", "x"], {"x": "CT"})
    {'T1': ('T1', True), 't1w': ('t1w', True), 'x': ('CT', False)}
    """
    meant = {role: sequence_of(role) for role in roles}
    wanted = [name for role, name in meant.items() if name and role not in given]
    names = {}
    for role in roles:
        name = meant[role]
        if role in given:
            names[role] = (given[role], False)
        elif name is not None and wanted.count(name) == 1:
            names[role] = (name, False)
        else:
            names[role] = (_spelled(role), True)
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """Names of channels as papers list them: the sequences that are known, then the others."""
    known = ["T1WI", "T2WI", "FLAIR", "CE-T1WI", "DWI", "ADC", "CT", "PET"]
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name.lower()))


def _spelled(role: str) -> str:
    """A role as the name of a channel.

    >>> _spelled("images/0001"), _spelled("dyn 3"), _spelled("")
    ('channel1', 'dyn_3', 'image')
    """
    if is_index(role):
        return f"channel{int(role[-4:])}"
    return re.sub(r"[^A-Za-z0-9+-]+", "_", role).strip("_-+") or "image"
