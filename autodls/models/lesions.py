"""From lesions to their patient: the mean of what is said of each.

Logits, and log-odds, which are linear in them, are averaged: so it does not matter whether lesions, folds, or scales
come first. Attention over lesions was not shown to be better (`benchmarks/RESULTS.md`).
"""

import torch
from torch import Tensor


def mean_by_case(values: Tensor, case_of: Tensor | None, cases: int) -> Tensor:
    """The mean of `values` [lesion, ...] over the lesions of each case, [case, ...]; of those that are not NaN.

    `case_of` is int64 [lesion]; None where each case has one lesion, and is as it was. NaN where all lesions are.

    >>> mean_by_case(torch.tensor([1.0, 3.0, torch.nan, 5.0]), torch.tensor([0, 0, 1, 1]), 2).tolist()
    [2.0, 5.0]
    """
    if case_of is None:
        return values
    known = ~values.isnan()
    empty = values.new_zeros(cases, *values.shape[1:])
    total = empty.index_add(0, case_of, values.where(known, torch.zeros_like(values)))
    return total / empty.index_add(0, case_of, known.to(values.dtype))
