"""The contrast of an MR series from physics, and from the words that people give it.

The bounds are those of textbooks on spin and gradient echoes (Westbrook, MRI in Practice, 5th ed., chapters 2 and 4;
Bernstein, Handbook of MRI Pulse Sequences, 2004, chapters 14 and 16): where a series lies between them, physics says
nothing, and the description is asked alone.
"""

import re
from dataclasses import dataclass

from autodls.dicom.facts import Facts

_SHORT_TR_MS, _LONG_TR_MS = 1200.0, 1800.0
_SHORT_TE_MS, _LONG_TE_MS = 35.0, 60.0
_FLAIR_TI_MS, _FLAIR_TR_MS = 1500.0, 4000.0
_STIR_TI_MS = (80.0, 300.0)
_GRADIENT_TR_MS, _GRADIENT_T1_TE_MS, _GRADIENT_T2_TE_MS = 800.0, 10.0, 12.0
_LEAST_FLIP_DEG = 5.0
_EDGE = r"(?<![a-z0-9]){}(?![a-z0-9])"

WORDS = {  # the first that is found decides
    "FLAIR": r"flair|tirm.?dark|da.?flu",
    "STIR": r"stir|tirm",
    "PDWI": r"pd|pdw|proton|pd[ _-]?(w|tse|fse|fs)\w*",
    "T2STAR": r"t2\*|t2[ _-]?star|t2s|swi|swan|medic|merge|gre[ _-]?t2",
    "T1WI": r"t1w?\w{0,3}|mp[ -]?rage|bravo|spgr|fspgr|vibe|lava|thrive|flash|3d[ -]?tfe",
    "T2WI": r"t2w?\w{0,3}|haste|ssfse|t2[ _-]?(tse|fse)\w*",
}
_CONTRASTS = {  # the third word of the image type of enhanced MR (DICOM C.8.13.3.1.1)
    "T1": "T1WI",
    "T2": "T2WI",
    "PROTON_DENSITY": "PDWI",
    "FLUID_ATTENUATED": "FLAIR",
    "STIR": "STIR",
    "T2_STAR": "T2STAR",
}
_FAT = r"fs|fat.?sat\w*|fat.?sup\w*|spir|spair|stir|dixon|fatsat|sfs"
_FAT_OPTIONS = ("FS", "FATSAT", "FSAT", "SFS", "FATSUPP")


@dataclass(frozen=True)
class Weighting:
    """A contrast, or "" where nothing says which, the sentence that says why, and what is doubtful about it."""

    role: str
    why: str
    doubt: str = ""


def weighting_of(facts: Facts) -> Weighting:
    """T1WI, T2WI, PDWI, FLAIR, STIR or T2STAR by TR, TE, TI and flip angle; by its name where they say nothing."""
    physics, measured = _by_physics(facts)
    named = _by_words(facts)
    if physics and named and physics != named and {physics, named} != {"STIR", "T2WI"}:
        return Weighting(physics, measured, f"its description sounds like {named}")
    if physics:
        return Weighting(physics, measured)
    typed = next((_CONTRASTS[word] for word in facts.image_type[2:3] if word in _CONTRASTS), "")
    if typed and named in ("", typed):
        return Weighting(typed, f"by its image type ({facts.image_type[2]}); {measured or 'neither TR nor TE known'}")
    if named:
        found = measured or "neither TR nor TE in its header"
        return Weighting(named, f"by its description; {found}", "only its description says so")
    return Weighting("", measured or "neither TR nor TE in its header, and its description names no contrast")


def is_fat_suppressed(facts: Facts) -> bool:
    """Whether fat is suppressed by the scan options, by an inversion, or by the description."""
    options = set(facts.options) & set(_FAT_OPTIONS)
    return bool(options) or is_named(facts, _FAT) or _is_stir(facts)


def is_named(facts: Facts, pattern: str) -> bool:
    """Whether `pattern` stands as words of their own in the description, the protocol or the name of the sequence.

    >>> is_named(Facts(description="AX T1 FS POST"), "post"), is_named(Facts(description="posterior"), "post")
    (True, False)
    """
    text = " ".join((facts.description, facts.protocol)).lower().replace("_", " ")
    return re.search(_EDGE.format(f"(?:{pattern})"), text) is not None


def _by_words(facts: Facts) -> str:
    return next((role for role, pattern in WORDS.items() if is_named(facts, pattern)), "")


def _is_gradient(facts: Facts) -> bool:
    return "GR" in facts.scanning and "SE" not in facts.scanning


def _is_stir(facts: Facts) -> bool:
    ti, te = facts.ti_ms, facts.te_ms
    return ti is not None and _STIR_TI_MS[0] <= ti <= _STIR_TI_MS[1] and not _is_gradient(facts) and te is not None


def _by_physics(facts: Facts) -> tuple[str, str]:
    """The contrast, "" between the bounds, and what was measured in words, "" where that is not known."""
    tr, te = facts.tr_ms, facts.te_ms
    if tr is None or te is None or tr <= 0 or te <= 0:
        return "", ""
    inverted = "" if facts.ti_ms is None else f", TI {facts.ti_ms:g}"
    if _is_gradient(facts):
        flip = "" if facts.flip_deg is None else f", flip angle {facts.flip_deg:g}"
        return _gradient(facts, tr, te), f"gradient echo, TR {tr:g}, TE {te:g}{inverted} ms{flip}"
    echo = "spin echo" if "SE" in facts.scanning else "echo"
    role = _spin(facts, tr, te) if "SE" in facts.scanning or "IR" in facts.scanning or tr > _GRADIENT_TR_MS else ""
    return role, f"{echo}, TR {tr:g}, TE {te:g}{inverted} ms"


def _gradient(facts: Facts, tr: float, te: float) -> str:
    if facts.ti_ms is not None and facts.ti_ms >= 400 and te < _GRADIENT_T1_TE_MS:
        return "T1WI"  # prepared by an inversion, as MP-RAGE
    if te >= _GRADIENT_T2_TE_MS and tr < _GRADIENT_TR_MS:
        return "T2STAR"
    spoiled = "SP" in facts.variant or facts.dimensions == "3D"
    steady = "SS" in facts.variant and "SP" not in facts.variant
    flip = facts.flip_deg
    if spoiled and not steady and te < _GRADIENT_T1_TE_MS and tr < _GRADIENT_TR_MS:
        return "T1WI" if flip is None or flip >= _LEAST_FLIP_DEG else ""
    return ""


def _spin(facts: Facts, tr: float, te: float) -> str:
    if facts.ti_ms is not None and facts.ti_ms >= _FLAIR_TI_MS and tr >= _FLAIR_TR_MS and te >= _LONG_TE_MS:
        return "FLAIR"
    if _is_stir(facts):
        return "STIR"
    if tr <= _SHORT_TR_MS and te <= _SHORT_TE_MS:
        return "T1WI"
    if facts.ti_ms is not None and 400 <= facts.ti_ms < _FLAIR_TI_MS and te <= _SHORT_TE_MS:
        return "T1WI"  # T1 FLAIR
    if tr >= _LONG_TR_MS:
        return "T2WI" if te >= _LONG_TE_MS else "PDWI" if te <= _SHORT_TE_MS else ""
    return ""
