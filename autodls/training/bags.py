"""Samples as a fold takes them: by case, of which each may have several lesions.

A case is shown once an epoch, by one of its lesions, which is drawn anew each time: so a patient with ten lesions
weighs no more than one who has one. Where a case is judged, all its lesions are, and their logits averaged.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from autodls.models.lesions import mean_by_case
from autodls.seeding import stream_seed
from autodls.training.batches import send


@dataclass(frozen=True)
class Bags:
    """Samples of cases.

    `case_rows` [case] has the row of one sample of each case, which has its label; `rows` [sample] those of all, in the
    order of the cases, and `case_of` [sample] the place of its case. `sizes` [case] are on the CPU. Where each case has
    one sample `rows` are `case_rows`, and the others None.
    """

    case_rows: Tensor
    rows: Tensor
    case_of: Tensor | None = None
    sizes: Tensor | None = None

    @classmethod
    def of_rows(cls, rows: Tensor) -> "Bags":
        """A sample a case."""
        return cls(rows, rows)

    def __len__(self) -> int:
        """How many cases."""
        return len(self.case_rows)

    def draw(self, seed: int) -> Tensor:
        """The place in `rows` of one sample of each case, [case], by a stream of chance of its own."""
        if self.sizes is None:
            return torch.arange(len(self.rows), device=self.rows.device)
        chance = torch.Generator().manual_seed(stream_seed(seed, "lesions"))
        first = self.sizes.cumsum(0) - self.sizes
        drawn = (torch.rand(len(self.sizes), generator=chance, dtype=torch.float64) * self.sizes).long()
        return send(first + drawn, self.rows.device)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of `values` [sample, ...] over the samples of each case, [case, ...]; see `mean_by_case`."""
        return mean_by_case(values, self.case_of, len(self))


def bags_of(case_rows: Tensor, case_of: Tensor | None, has: Tensor | None = None) -> Bags:
    """The samples of the cases `case_rows`, of a cohort whose first samples, one a case, are those of `case_rows`.

    `case_of` [sample] is the case, by its row, of every sample of the cohort, None where each is a case. With `has`
    [sample] of the cohort only those samples are taken, and cases that have none are left out.
    """
    if case_of is None:
        return Bags.of_rows(case_rows if has is None else case_rows[has[case_rows]])
    device, wanted = case_rows.device, case_rows.cpu()
    owner = case_of.cpu()
    kept = torch.ones(len(owner), dtype=torch.bool) if has is None else has.cpu()
    members = [torch.nonzero((owner == case) & kept).flatten() for case in wanted]
    sizes = torch.tensor([len(one) for one in members], dtype=torch.long)
    found = sizes > 0
    of = torch.repeat_interleave(torch.arange(int(found.sum())), sizes[found])
    rows = torch.cat(members) if members else torch.empty(0, dtype=torch.long)
    return Bags(wanted[found].to(device), rows.to(device), of.to(device), sizes[found])
