"""The verdict of the weight-randomisation check: do heat maps depend on what the network has learned?

A map that a network of shuffled weights draws alike shows the picture, not what was learned [1]_. They compare maps by
Spearman's rank correlation and name no threshold; ours are Cohen's marks [2]_ of a medium (0.3) and a large (0.5)
correlation. Signs do not count: a shuffled network has no side, and a map turned inside out is the same picture.

References
----------
.. [1] Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim. Sanity checks for saliency maps. NeurIPS 2018
       (arXiv:1810.03292).
.. [2] Cohen. Statistical Power Analysis for the Behavioral Sciences. 2nd ed. 1988, chapter 3.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Final, Literal

from pydantic import Field

from autodls.records.base import Record

CheckOutcome = Literal["passed", "unclear", "not passed"]
PASSED: Final = "passed"
MEDIUM, LARGE = 0.3, 0.5
SOURCE = (
    f"passed below {MEDIUM}, not passed from {LARGE} on, unclear between: Cohen's marks of a medium and a large "
    "correlation; Adebayo et al. 2018, whose check it is, name no threshold"
)
_SAYS: dict[CheckOutcome, str] = {
    "passed": "the maps depend on what was learned",
    "unclear": "the maps depend on what was learned in part only, so do not lean on them",
    "not passed": "the maps hardly change, so they may show the picture rather than what was learned",
}


class WeightsVerdict(Record):
    """What the check says of a set of heat maps."""

    verdict: CheckOutcome
    cases: int = Field(description="maps that have a rank correlation")
    mean_absolute_correlation: float = Field(description="mean over cases of the absolute rank correlation")
    large: int = Field(description=f"cases whose absolute correlation is {LARGE} or more")
    thresholds: str = SOURCE

    @property
    def text(self) -> str:
        """The verdict in words, as a clause."""
        share = f"{self.large} of {self.cases} at {LARGE} or more" if self.cases > 1 else "of one case"
        return (
            f"weight randomisation {self.verdict}: with shuffled weights {_SAYS[self.verdict]} (mean absolute rank "
            f"correlation {self.mean_absolute_correlation:.2f}, {share})"
        )


def weights_verdict(correlations: Sequence[float]) -> WeightsVerdict | None:
    """The verdict from the rank correlation of each case's map with that of shuffled weights; None without a case.

    >>> [weights_verdict([value]).verdict for value in (0.29, -0.3, 0.57)]
    ['passed', 'unclear', 'not passed']
    """
    if not correlations:
        return None
    sizes = [abs(value) for value in correlations]
    mean = fmean(sizes)
    verdict: CheckOutcome = "passed" if mean < MEDIUM else "unclear" if mean < LARGE else "not passed"
    return WeightsVerdict(
        verdict=verdict,
        cases=len(sizes),
        mean_absolute_correlation=mean,
        large=sum(size >= LARGE for size in sizes),
    )
