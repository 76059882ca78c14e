"""Within which limits the AUC lies, whatever became of the patients whose outcome is not known."""

import numpy as np
from scipy.stats import rankdata

from autodls.evaluation.arrays import Bools, Floats


def auc_bounds(benefit: Bools, known: Bools, scores: Floats) -> tuple[float, float] | None:
    """The least and the greatest AUC of `scores` (n,) over all outcomes of those who are not `known` (n,).

    With k of the undetermined among the positives, the AUC is their sum of ranks over a number of pairs that k alone
    settles: so the k lowest scores give the least AUC and the k highest the greatest, and all k are tried. None where
    no outcomes make two classes.

    >>> auc_bounds(np.array([False, True, False]), np.array([True, True, False]), np.array([1.0, 2.0, 3.0]))
    (0.5, 1.0)
    """
    ranks = rankdata(scores)
    open_ranks, least = np.sort(ranks[~known]), ranks[benefit & known]
    assigned = np.arange(len(open_ranks) + 1)
    positives = len(least) + assigned
    pairs = positives * (len(scores) - positives)
    if not (pairs > 0).any():
        return None
    base = least.sum() - positives * (positives + 1) / 2
    lowest, highest = (np.concatenate(([0.0], np.cumsum(turned))) for turned in (open_ranks, open_ranks[::-1]))
    held = pairs > 0
    low, high = ((base + added)[held] / pairs[held] for added in (lowest, highest))
    return float(low.min()), float(high.max())
