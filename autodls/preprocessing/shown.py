"""How much of a tumour the three pictures of its sample show, and the sentence that says what they leave out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

LEFT_OUT = "tumour left out"  # how the flag begins, by which it is counted
_PICTURES = ("axial", "sagittal", "coronal")  # in the order of the planes


@dataclass(frozen=True)
class Shown:
    """How much of a tumour its three pictures show, cropped as the network sees them when it scores.

    `in_plane` holds, plane by plane, the share of the tumour's area in that plane, all parts together, that lies in the
    picture. Of the `parts` that are connected, `unseen` lie in none of the pictures, with `unseen_ml` of the
    `volume_ml` of all.
    """

    in_plane: tuple[float, float, float]
    parts: int
    unseen: int
    volume_ml: float
    unseen_ml: float

    @property
    def is_whole(self) -> bool:
        """Whether no picture cuts the tumour, and each part lies in one at least."""
        return min(self.in_plane) == 1 and self.unseen == 0


def left_out(shown: Shown) -> str | None:
    """The flag of a tumour that is not shown whole; None for one that is.

    >>> left_out(Shown((1.0, 1.0, 0.5), 1, 0, 8.0, 0.0))
    'tumour left out: coronal shows 50% of its area in the plane'
    """
    return None if shown.is_whole else f"{LEFT_OUT}: {' and '.join(_what(shown))}"


def _what(shown: Shown) -> Iterator[str]:
    cut = [(name, share) for name, share in zip(_PICTURES, shown.in_plane, strict=True) if share < 1]
    if cut:
        yield f"{', '.join(f'{name} shows {_percent(share)}' for name, share in cut)} of its area in the plane"
    if shown.unseen:
        lies = "lies" if shown.unseen == 1 else "lie"
        volume = f"{shown.unseen_ml:.3g} of {shown.volume_ml:.3g} ml"
        yield f"{shown.unseen} of its {shown.parts} parts ({volume}) {lies} in none of the three pictures"


def _percent(share: float) -> str:
    """Rounded down: what is cut never reads 100%."""
    return "under 1%" if 0 < share < 0.01 else f"{math.floor(100 * share)}%"
