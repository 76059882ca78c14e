"""Which values of a mask mean tumour, by the labels of dataset.json: what every reader of masks is given."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, Self

from autodls.errors import DatasetError

Labels = Mapping[str, int | tuple[int, ...]]
LesionsBy = Literal["components", "labels"]
"""How lesions are told apart in an ROI: by connected parts, or by its values."""
AUTOMATIC_LABELS = frozenset({1})  # of a mask of ours
_TUMOUR = r"(?:tumou?rs?|lesions?|gtv[a-z]{0,2}|cancers?)"
_SAYS_TUMOUR = re.compile(rf"(?<![a-z]){_TUMOUR}(?![a-z])")
# "non-tumor", "tumor free", "liver and tumor": such a name says the opposite, or more.
_SAYS_MORE = re.compile(
    rf"(?<![a-z])(?:(?:non?|not|without|peri)\W*{_TUMOUR}|and|with|plus|incl[a-z]*|free)(?![a-z])|[+&]"
)
_ORGANS = """
adrenal aorta artery arteries bladder bone bones bowel brain breast breasts bronchus cervix colon duodenum esophagus eye
eyes femur gallbladder heart hepatic ileum jejunum kidney kidneys larynx liver lung lungs mandible mediastinum muscle
muscles oesophagus organ organs ovary ovaries pancreas parotid parotids pharynx portal prostate pulmonary rectum renal
rib ribs skin skull spleen stomach thyroid trachea ureter urethra uterus vein veins vertebra vertebrae vessel vessels
"""
_OF_ORGANS = """
bile cava common cord duct gland healthy l large left lobe lower middle normal of parenchyma r right small spinal the
tissue upper vena wall whole
"""


class RoiLabels(frozenset[int]):
    """Values of a mask that mean tumour; `others` are known as well, and mean something else.

    >>> sorted(RoiLabels({2}, others={1, 2}).others)
    [1]
    """

    others: frozenset[int]

    def __new__(cls, tumour: Iterable[int], others: Iterable[int] = ()) -> Self:
        """The values of the tumour, and those of anything else that may be drawn."""
        made = super().__new__(cls, tumour)
        made.others = frozenset(others) - made
        return made


def tumour_names(labels: Labels, given: Collection[str] | None = None) -> tuple[str, ...]:
    """Names in `labels` that are the tumour: those `given`, a single one, or those that say so beside organs.

    Raises DatasetError where it cannot be told, as for edema beside a tumor: an organ is never counted as tumour, and
    a part of the tumour never left out without a word.

    >>> tumour_names({"background": 0, "liver": 1, "tumor": 2})
    ('tumor',)
    """
    names = [name for name in labels if name != "background"]
    if given is not None:
        return _given(given, names)
    says = [name for name in names if says_tumour(name)]
    if len(names) == 1 or len(says) == len(names):
        return tuple(names)
    unclear = [name for name in names if name not in says and not is_organ(name)]
    why = f"'{unclear[0]}' may be a part of the tumour or not" if says and unclear else "no name says tumour"
    if not says or unclear:
        raise DatasetError(f"labels {_listed(names)}: {why}; {_name_them(says)}")
    return _without_organs(labels, says)


def _given(given: Collection[str], names: list[str]) -> tuple[str, ...]:
    if unknown := [name for name in given if name not in names]:
        raise DatasetError(f"autodls.tumor names '{unknown[0]}', the labels are {_listed(names)}; correct one of them")
    if not given:
        raise DatasetError(f"autodls.tumor is empty, the labels are {_listed(names)}; name those that are tumour")
    return tuple(dict.fromkeys(given))


def _without_organs(labels: Labels, says: list[str]) -> tuple[str, ...]:
    """Raises DatasetError where an organ has only values of the tumour."""
    tumour = values_of(labels, says)
    for name in labels:
        if is_organ(name) and values_of(labels, [name]) <= tumour:
            values = sorted(values_of(labels, [name]))
            raise DatasetError(
                f"labels {_listed([*says, name])}: '{name}' ({values}) is tumour too; {_name_them(says)}"
            )
    return tuple(says)


def roi_labels(labels: Labels, given: Collection[str] | None = None) -> RoiLabels:
    """The values of the tumour and of the other labels; raises DatasetError as `tumour_names`.

    >>> sorted(roi_labels({"background": 0, "kidney": (1, 2, 3), "tumor": 2}))
    [2]
    """
    return RoiLabels(values_of(labels, tumour_names(labels, given)), values_of(labels, labels))


def values_of(labels: Labels, names: Iterable[str]) -> frozenset[int]:
    """All values of some labels; 0 is background."""
    groups = [(value,) if isinstance(value, int) else value for value in (labels[name] for name in names)]
    return frozenset(value for group in groups for value in group if value != 0)


def says_tumour(name: str) -> bool:
    """Whether a label's name says that all of it is tumour.

    >>> says_tumour("GTVp"), says_tumour("enhancingTumor"), says_tumour("non-tumor"), says_tumour("peritumoral edema")
    (True, True, False, False)
    """
    plain = _plain(name)
    return bool(_SAYS_TUMOUR.search(plain)) and not _SAYS_MORE.search(plain)


def is_organ(name: str) -> bool:
    """Whether a label's name is that of an organ and of nothing in it.

    >>> is_organ("left_kidney"), is_organ("kidney cyst")
    (True, False)
    """
    words = set(re.findall(r"[a-z]+", _plain(name)))
    organs = set(_ORGANS.split())
    return bool(words & organs) and words <= organs | set(_OF_ORGANS.split())


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name).lower().replace("_", " ")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _name_them(names: Collection[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names or ["NAME"])
    return f'name what is tumour in the key autodls of dataset.json, as "tumor": [{quoted}]'
