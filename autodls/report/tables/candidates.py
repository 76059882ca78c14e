"""Candidates beside each other, as CSV and as printed."""

from autodls.analysis.comparison_results import CHOSEN, CandidateResult, Comparison, Difference, NetworkAdds
from autodls.evaluation.results import Auc
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.formatting import NONE, added_p, estimate, number, p_value, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons

NESTED_ROW = "whatever each fold chose (nested)"
_HEADER = (
    "candidate", "n", "positives", "auc", "low", "high", "interval", "fold_auc_low", "fold_auc_high", "chosen_in",
    "less_chosen", "less_chosen_low", "less_chosen_high", "less_chosen_p", "reason",
)  # fmt: skip
_PAIRS = ("a", "b", "delta", "low", "high", "p", "p_holm", "reason")
_ADDS = (
    "over", "with", "lr_chi2", "lr_df", "lr_p", "lr_sign", "delta_deep", "delta_deep_low", "delta_deep_high",
    "delta_with", "delta_with_low", "delta_with_high", "threshold", "net_benefit_over", "net_benefit_deep_less_over",
    "net_benefit_deep_low", "net_benefit_deep_high", "net_benefit_with_less_over", "net_benefit_with_low",
    "net_benefit_with_high", "adds", "sentence",
)  # fmt: skip


def candidate_table(found: Comparison) -> ReportTable:
    """A row a candidate, then what each fold chose by itself."""
    less = {one.b: one for one in found.differences if one.a == CHOSEN}
    lines = tuple(_line(name, found, one, less[name]) for name, one in found.candidates.items())
    own = found.chosen.auc
    nested = (NESTED_ROW, found.n, found.positives, own.value, own.low, own.high, own.method, *[None] * 7, own.reason)
    printed = tuple(_printed(name, found, one, less[name]) for name, one in found.candidates.items())
    last = (NESTED_ROW, estimate(own), NONE, ", ".join(_counted(found)), NONE)
    head = ("Candidate", "AUC (95% CI)", "AUC of the folds", "Chosen in", "Nested choice less it (95% CI)")
    return ReportTable(Rows(_HEADER, (*lines, nested)), Printed("Candidates", head, (*printed, last), _notes(found)))


def _line(name: str, found: Comparison, one: CandidateResult, less: Difference) -> tuple[CellValue, ...]:
    auc, folds = one.auc, [fold.auc for fold in one.folds if fold.auc is not None]
    return (
        name, found.n, found.positives, auc.value, auc.low, auc.high, auc.method, min(folds, default=None),
        max(folds, default=None), " ".join(map(str, one.chosen_in)), less.delta, less.low, less.high, less.p,
        auc.reason,
    )  # fmt: skip


def _printed(name: str, found: Comparison, one: CandidateResult, less: Difference) -> tuple[str, ...]:
    folds = [fold.auc for fold in one.folds if fold.auc is not None]
    spread = f"{number(min(folds), 2)} to {number(max(folds), 2)}" if folds else NONE
    chosen = f"{len(one.chosen_in)} of {len(found.chosen.by_fold)} folds"
    return (_called(name, one), estimate(one.auc), spread, chosen, with_limits(less.delta, less.low, less.high))


def _called(name: str, one: CandidateResult) -> str:
    return f"{name} ({' + '.join(one.made_of)})" if one.made_of else name


def _counted(found: Comparison) -> list[str]:
    counts = {name: found.chosen.by_fold.count(name) for name in found.candidates}
    return [f"{name} {count}" for name, count in counts.items() if count]


def _notes(found: Comparison) -> tuple[str, ...]:
    aucs: list[Auc] = [found.chosen.auc, *(one.auc for one in found.candidates.values())]
    notes = [MEANING] if any(is_of_folds(one.method) for one in aucs) else []
    notes += [found.nested, *([found.not_nested] if found.not_nested else []), cost_sentence(found)]
    notes += [f"{name} is left out: {why}." for name, why in found.left_out.items()]
    notes += [one.reason for one in aucs if one.reason]
    return unique_reasons(notes)


def cost_sentence(found: Comparison) -> str:
    """What choosing cost, in words."""
    cost = found.cost
    return (
        f"What choosing cost: {found.chosen.name} looks best out of fold with {number(found.naive.value)}, which is "
        f"flattered, as it was chosen by it; the nested choice has {number(found.chosen.auc.value)}; the first less "
        f"the second is {with_limits(cost.delta, cost.low, cost.high)}."
    )


def difference_table(found: Comparison) -> ReportTable:
    """Every pair of candidates."""
    pairs = [one for one in found.differences if one.a != CHOSEN]
    lines = tuple((d.a, d.b, d.delta, d.low, d.high, d.p, d.p_holm, d.reason) for d in found.differences)
    printed = tuple(
        (f"{d.a} less {d.b}", with_limits(d.delta, d.low, d.high), p_value(d.p), p_value(d.p_holm)) for d in pairs
    )
    head = ("Candidates", "Difference of AUC (95% CI)", "P (DeLong)", "P (Holm)")
    notes = unique_reasons([f"{d.a} less {d.b}: {d.reason}" for d in pairs if d.reason])
    return ReportTable(Rows(_PAIRS, lines), Printed("Candidates in pairs", head, printed, notes))


def adds_table(found: Comparison) -> ReportTable:
    """What the network adds to each simple candidate."""
    printed = tuple(
        (
            one.over,
            added_p(one.likelihood_ratio.p, one.likelihood_ratio.sign),
            with_limits(one.delta_deep.delta, one.delta_deep.low, one.delta_deep.high),
            NONE
            if one.delta_with is None
            else with_limits(one.delta_with.delta, one.delta_with.low, one.delta_with.high),
            estimate(one.net_benefit_deep),
            NONE if one.net_benefit_with is None else estimate(one.net_benefit_with),
        )
        for one in found.adds
    )
    head = (
        "Beside", "P (likelihood ratio), sign", "AUC: network less it", "AUC: both less it",
        "Net benefit: network less it", "Net benefit: both less it",
    )  # fmt: skip
    notes = [
        "Likelihood ratio: one-sided, of the network's out-of-fold log-odds beside those of the other, corrected for "
        "folds that share cases.",
        *(f"Net benefit at a threshold of {one.threshold:.2f}, of probabilities that were recalibrated on the other "
          "folds; its interval is by bootstrap over patients, conditional on these folds." for one in found.adds[:1]),
        *(one.likelihood_ratio.reason for one in found.adds if one.likelihood_ratio.reason),
    ]  # fmt: skip
    rows = Rows(_ADDS, tuple(_adds_line(one) for one in found.adds))
    return ReportTable(rows, Printed("What the network adds", head, printed, unique_reasons(notes)))


def _adds_line(one: NetworkAdds) -> tuple[CellValue, ...]:
    ratio, deep, both = one.likelihood_ratio, one.delta_deep, one.delta_with
    alone, together = one.net_benefit_deep, one.net_benefit_with
    return (
        one.over, one.with_network, ratio.chi2, ratio.df, ratio.p, ratio.sign, deep.delta, deep.low, deep.high,
        *((None,) * 3 if both is None else (both.delta, both.low, both.high)), one.threshold,
        one.net_benefit[one.over], alone.value, alone.low, alone.high,
        *((None,) * 3 if together is None else (together.value, together.low, together.high)), one.adds, one.sentence,
    )  # fmt: skip
