"""What is known of one sequence of one case, whoever measures it: for fingerprint, appearance check and flags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autodls.imaging.geometry import Triple
from autodls.imaging.inside import BLANK_SHARE

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)


@dataclass(frozen=True)
class SequenceMeasure:
    """One sequence of one case; percentiles are `PERCENTILES` of its intensities, in the foreground and in the ROI.

    `blank_share` is the share of the ROI without signal, `clipped` that "below" the lowest and "above" the highest
    percentile of the foreground. Of an ROI that the image does not show, or that is blank in it, nothing is known.
    """

    spacing_mm: Triple
    shape: tuple[int, int, int]
    obliqueness_deg: float
    foreground_percentiles: tuple[float, ...]
    roi_percentiles: tuple[float, ...] | None
    same_grid_as_roi: bool
    overlap_with_roi: float
    blank_share: float = 0.0
    clipped: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        """Whether the image has no signal where the tumour lies."""
        return self.blank_share >= BLANK_SHARE

    @property
    def field_of_view_mm(self) -> Triple:
        """Voxels times spacing, in x, y, z."""
        x, y, z = (count * step for count, step in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z

    @property
    def median(self) -> float:
        """Of the intensities in the foreground."""
        return self.foreground_percentiles[PERCENTILES.index(50.0)]

    @property
    def contrast(self) -> dict[str, float]:
        """See `contrast`."""
        return contrast(self.foreground_percentiles, self.roi_percentiles)


def contrast(head: Sequence[float], roi: Sequence[float] | None) -> dict[str, float]:
    """What makes a T2WI look unlike a T1WI, whatever the unit: shares of the range from the 5th to the 95th percentile.

    `head` and `roi` are `PERCENTILES` of the foreground and of the tumour. Of "dark" and "bright" tails and the
    "middle", and of the "tumour" above the middle. Nothing where the range is empty.

    >>> contrast((0, 10, 40, 110, 160), (30, 50, 60, 70, 90))
    {'dark': 0.1, 'middle': 0.3, 'bright': 0.5, 'tumour': 0.2}
    """
    lowest, low, middle, high, highest = head
    span = high - low
    if span <= 0:
        return {}
    found = {"dark": low - lowest, "middle": middle - low, "bright": highest - high}
    if roi is not None:
        found["tumour"] = roi[PERCENTILES.index(50.0)] - middle
    return {name: value / span for name, value in found.items()}
