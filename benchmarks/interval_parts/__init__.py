"""What `benchmarks/intervals.py` simulates: one module a topic, whose `rows(studies)` yields a `Row` for each setting.

A new topic is a module here and a line in `PARTS` of the runner.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """How often an interval covers or a test errs, in percent, by the rule before and by the one that is printed now.

    `least` and `most` bound `after`; None where it may be anything, and is only told. `before` is None where nothing
    was said before, `after` where nothing is said any more.
    """

    quantity: str
    setting: str
    before: float | None
    after: float | None
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether `after` lies within its bounds; what is not printed cannot be wrong."""
        if self.after is None:
            return True
        return (self.least is None or self.after >= self.least) and (self.most is None or self.after <= self.most)
