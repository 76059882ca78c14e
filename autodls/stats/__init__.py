"""The statistics of AutoDLS for anybody's scores: plain arrays in, small frozen records out. No study is needed.

The functions are those that `autodls evaluate` counts by, so that a figure is the same wherever it is made. Arrays are
lists, NumPy arrays or pandas columns. A higher score means positive. What cannot be estimated is None, with the reason;
what cannot be meant is an `ArgumentError` of one line.

>>> from autodls import stats
>>> round(stats.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 2)
0.75
"""

from autodls.stats.agreement import bland_altman, icc
from autodls.stats.discrimination import DeLong, Rates, auc, compare_aucs, delong, holm, rates_at_cutoff, youden_cutoff
from autodls.stats.planning import auc_ceiling, cases_for_auc, learning_curve
from autodls.stats.probability import brier, calibration, calibration_groups, net_benefit
from autodls.stats.survival import cox, kaplan_meier, landmark_benefit, logrank, median_follow_up, proportional_hazards

__all__ = [
    "DeLong",
    "Rates",
    "auc",
    "auc_ceiling",
    "bland_altman",
    "brier",
    "calibration",
    "calibration_groups",
    "cases_for_auc",
    "compare_aucs",
    "cox",
    "delong",
    "holm",
    "icc",
    "kaplan_meier",
    "landmark_benefit",
    "learning_curve",
    "logrank",
    "median_follow_up",
    "net_benefit",
    "proportional_hazards",
    "rates_at_cutoff",
    "youden_cutoff",
]
