"""Table 1: who the patients are, cohort by cohort, and whether the cohorts differ.

A numeric variable is compared by Welch's t test (two cohorts) or ANOVA (more) [3]_ where it looks normal in every
cohort, else by Mann-Whitney or Kruskal-Wallis. The paper's t test and ANOVA pool the variance: where a small cohort
spreads twice as far as a large one they find a difference in one of six comparisons of equal means, Welch's in one of
twenty. A categorical variable is compared by Pearson's chi-square without correction, or by Fisher's exact test where
an expected count is under 5. Beside the P value, which grows small with the number of cases, stands the standardised
mean difference, which does not [1]_ [2]_.

References
----------
.. [1] Austin. Balance diagnostics for comparing the distribution of baseline covariates between treatment groups in
       propensity-score matched samples. Stat Med 2009;28:3083-3107.
.. [2] Yang, Dalton. A unified approach to measuring the effect size between two groups using SAS. SAS Global Forum
       2012, paper 335 (more than two levels: Mahalanobis' distance of the shares).
.. [3] Welch. On the comparison of several mean values: an alternative approach. Biometrika 1951;38:330-336.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats
from statsmodels.stats.oneway import anova_oneway

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Floats
from autodls.records.base import Record
from autodls.records.columns import Column, read_column

Strings = NDArray[np.str_]
Indices = NDArray[np.int64]
Test = Literal["Welch t", "Welch ANOVA", "Mann-Whitney", "Kruskal-Wallis", "chi-square", "Fisher"]
_FISHER_RESAMPLES = 100_000
_NORMAL_P = 0.05


class Cell(Record):
    """One level or one variable in one cohort, as numbers and as printed."""

    count: int = Field(description="cases with the level, or with a value")
    share: float | None = Field(default=None, description="of the cases with a value; levels only")
    centre: float | None = Field(default=None, description="mean or median; numeric variables only")
    spread: tuple[float, float] | None = Field(default=None, description="mean -+ SD, or quartiles")
    text: str


class Level(Record):
    """A level of a categorical variable, or the one row of a numeric one."""

    name: str
    cells: tuple[Cell, ...] = Field(description="in the order of the cohorts")


class Variable(Record):
    """One variable in all cohorts."""

    name: str
    kind: Literal["numeric", "categorical"]
    levels: tuple[Level, ...]
    missing: tuple[int, ...]
    test: Test | None = None
    p: float | None = None
    smd: float | None = Field(default=None, description="standardised mean difference, the largest of two cohorts")
    reason: str | None = None


class BaselineTable(Record):
    """The whole table."""

    cohorts: tuple[str, ...]
    n: tuple[int, ...]
    variables: tuple[Variable, ...]


def baseline_table(
    columns: Mapping[str, Sequence[str]],
    cohorts: Sequence[str],
    rng: np.random.Generator,
    *,
    deciding: Sequence[bool] | None = None,
    coded: Collection[str] = (),
) -> BaselineTable:
    """Compare `columns`, cells as text by variable, between the `cohorts` (n,) to which the rows belong.

    `deciding` (n,) marks the rows that say whether a variable is numeric, `coded` names the variables whose words for
    missing values are emptied already (`read_column`). `rng` draws the tables of Fisher's test beyond 2 x 2. Raises
    ArgumentError for columns of another length.
    """
    names = tuple(dict.fromkeys(cohorts))
    member = np.array([names.index(cohort) for cohort in cohorts], dtype=np.int64)
    for name, cells in columns.items():
        if len(cells) != len(cohorts):
            raise ArgumentError(f"variable '{name}' has {len(cells)} cells for {len(cohorts)} cases; give one each")
    variables = [
        _variable(name, read_column(cells, deciding, coded=name in coded), member, len(names), rng)
        for name, cells in columns.items()
    ]
    return BaselineTable(
        cohorts=names, n=tuple(np.bincount(member, minlength=len(names)).tolist()), variables=tuple(variables)
    )


def compare_counts(counts: Sequence[Sequence[int]], rng: np.random.Generator) -> tuple[Test | None, float | None]:
    """Test and P value of a table of counts (levels, cohorts); None where nothing is left to compare.

    >>> test, p = compare_counts([[72, 29, 42], [195, 86, 92]], np.random.default_rng(0))
    >>> test, round(p, 3)
    ('chi-square', 0.519)
    """
    table = np.asarray(counts, dtype=np.int64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None, None
    result = stats.chi2_contingency(table, correction=False)
    if result.expected_freq.min() >= 5:
        return "chi-square", float(result.pvalue)
    sampling = None if table.shape == (2, 2) else stats.MonteCarloMethod(n_resamples=_FISHER_RESAMPLES, rng=rng)
    # for tiny tables SciPy returns an array of one value
    return "Fisher", float(np.asarray(stats.fisher_exact(table, method=sampling).pvalue).item())


def compare_numbers(groups: Sequence[Floats]) -> tuple[Test | None, float | None]:
    """Test and P value for the values of each cohort; None where a cohort has fewer than two or nothing varies."""
    if len(groups) < 2 or min(len(group) for group in groups) < 2 or np.ptp(np.concatenate(groups)) == 0:
        return None, None
    if looks_normal(groups):
        if len(groups) == 2:
            return "Welch t", float(stats.ttest_ind(*groups, equal_var=False).pvalue)
        return "Welch ANOVA", float(anova_oneway(groups, use_var="unequal").pvalue)
    name: Test = "Mann-Whitney" if len(groups) == 2 else "Kruskal-Wallis"
    p = stats.mannwhitneyu(*groups).pvalue if len(groups) == 2 else stats.kruskal(*groups).pvalue
    return name, float(p)


def numbers_smd(groups: Sequence[Floats]) -> float | None:
    """Largest absolute standardised difference [1]_ of the means of two of the groups, each (n,).

    The difference over the root of the mean of both variances. None below two values a group, or where nothing varies
    and yet the means differ.

    >>> round(numbers_smd([np.array([8.0, 10.0, 12.0]), np.array([10.0, 12.0, 14.0])]), 6)
    1.0
    """
    if len(groups) < 2 or min(len(group) for group in groups) < 2:
        return None
    pairs = [
        _standardised(float(a.mean() - b.mean()), float(a.var(ddof=1) + b.var(ddof=1)) / 2)
        for a, b in combinations(groups, 2)
    ]
    return _largest(pairs)


def counts_smd(counts: Sequence[Sequence[int]]) -> float | None:
    """Largest absolute standardised difference of the shares of two cohorts in a table of counts (levels, cohorts).

    Of two levels it is Austin's [1]_; of more, Mahalanobis' distance of the shares [2]_. None where a cohort is empty.

    >>> round(counts_smd([[50, 40], [50, 60]]), 4)
    0.202
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.shape[1] < 2 or not table.sum(axis=0).all():
        return None
    shares = table / table.sum(axis=0)
    return _largest([_distance(a[a + b > 0], b[a + b > 0]) for a, b in combinations(shares.T, 2)])


def _distance(a: Floats, b: Floats) -> float | None:
    """Mahalanobis' distance of two vectors of shares, the last level left out as it follows from the others."""
    apart = (a - b)[:-1]
    if not apart.any():
        return 0.0
    spread = sum((np.diag(share) - np.outer(share, share) for share in (a[:-1], b[:-1])), np.zeros((1, 1))) / 2
    if np.linalg.matrix_rank(spread) < len(apart):
        return None
    return float(np.sqrt(apart @ np.linalg.solve(spread, apart)))


def _standardised(apart: float, variance: float) -> float | None:
    if apart == 0:
        return 0.0
    return abs(apart) / variance**0.5 if variance > 0 else None


def _largest(values: Sequence[float | None]) -> float | None:
    """None where one of them is not known: it could be the largest."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def looks_normal(groups: Sequence[Floats]) -> bool:
    """Whether Shapiro-Wilk rejects normality in none of the groups; groups too small or constant do not look normal."""
    return all(len(group) >= 3 and np.ptp(group) > 0 and stats.shapiro(group).pvalue > _NORMAL_P for group in groups)


def _variable(name: str, column: Column, member: Indices, cohorts: int, rng: np.random.Generator) -> Variable:
    present = np.array([value is not None for value in column.values], dtype=bool)
    missing = tuple(np.bincount(member[~present], minlength=cohorts).tolist())
    if not present.any():
        return Variable(name=name, kind="categorical", levels=(), missing=missing, reason="every value is missing")
    known = [value for value in column.values if value is not None]
    if not column.numeric:
        kept, test, p, smd = _levels(np.array(known, dtype=np.str_), member[present], cohorts, rng)
        kind: Literal["numeric", "categorical"] = "categorical"
    else:
        numbers = np.array(known, dtype=np.float64)
        groups = [numbers[member[present] == index] for index in range(cohorts)]
        (test, p), smd = compare_numbers(groups), numbers_smd(groups)
        kept, kind = (
            (Level(name="", cells=tuple(_summary(group, looks_normal(groups)) for group in groups)),),
            "numeric",
        )
    reason = None if p is not None else "nothing to compare: one cohort, one level, or too few values"
    return Variable(name=name, kind=kind, levels=kept, missing=missing, test=test, p=p, smd=smd, reason=reason)


def _levels(
    cells: Strings, member: Indices, cohorts: int, rng: np.random.Generator
) -> tuple[tuple[Level, ...], Test | None, float | None, float | None]:
    names, level = np.unique(cells, return_inverse=True)
    counts = np.zeros((len(names), cohorts), dtype=np.int64)
    np.add.at(counts, (level, member), 1)
    totals = counts.sum(axis=0)
    levels = tuple(
        Level(
            name=str(name),
            cells=tuple(_share(int(count), int(total)) for count, total in zip(row, totals, strict=True)),
        )
        for name, row in zip(names, counts, strict=True)
    )
    return levels, *compare_counts(counts.tolist(), rng), counts_smd(counts.tolist())


def _share(count: int, total: int) -> Cell:
    if total == 0:
        return Cell(count=0, text="-")
    return Cell(count=count, share=count / total, text=f"{count} ({100 * count / total:.1f}%)")


def _summary(values: Floats, normal: bool) -> Cell:
    if not len(values):
        return Cell(count=0, text="-")
    if normal:
        mean, deviation = float(values.mean()), float(values.std(ddof=1))
        text = f"{mean:.1f} ± {deviation:.1f}"
        return Cell(count=len(values), centre=mean, spread=(mean - deviation, mean + deviation), text=text)
    low, median, high = (float(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return Cell(count=len(values), centre=median, spread=(low, high), text=f"{median:.1f} ({low:.1f}-{high:.1f})")
