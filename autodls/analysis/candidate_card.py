"""MODEL_CARD.md of a locked candidate: the candidate in words."""

from autodls.analysis.comparison_results import NOT_NESTED, CandidateResult, Comparison
from autodls.records.formatting import estimate
from autodls.records.locked_candidate import DEEP, CandidatePart, LockedCandidate, effect_of
from autodls.records.spelled import as_markdown, as_markdown_code

MOST_TERMS = 20
STACKED = (
    "The weights of its parts were fitted to out-of-fold scores of the whole training cohort, recalibration and "
    "cut-off to scores by weights of the other folds. The networks of a fold learned from cases on which weights are "
    "judged: a second-order dependence, which only a held-out cohort is free of."
)
BY_PENALTY = (
    "Coefficients are penalised, and so pulled to 0; they have no P values, and of features that go together one may "
    "stand for all: they say what the score is made of, not what causes the outcome."
)


def candidate_card(record: LockedCandidate, found: Comparison) -> str:
    """The candidate in Markdown: what it answers, what it needs, how well it did out of fold, what it is made of."""
    target, result = record.target, found.candidates[record.candidate]
    terms = "\n".join(_table(one) for one in (*((record,) if record.parts else ()), *record.simple))
    not_nested = f"\n{found.not_nested or NOT_NESTED}\n" if record.networks_sha256 else ""
    return f"""# Model card: {as_markdown(target.name)}, candidate `{record.candidate}`

For research; not a medical device.

- **Question**: {as_markdown_code(target.rule)} ({as_markdown(target.name)}), per case.
- **Input**: {_needs(record)}
- **Output**: `dls`, the calibrated probability of the positive class; the call is high at or above
  {record.cutoff:.4f} ({as_markdown(record.cutoff_source)}).
- **Fitted on**: {record.training_cases} cases of {as_markdown_code(record.dataset)}, {record.training_positives}
  positive. The probability holds for a population with that share of positives.
- **Setting**: {as_markdown(record.setting)}, chosen within the training cohort.

Out-of-fold AUC (95% CI): **{estimate(result.auc)}**. {_chosen(record, result, found)}

{found.nested}
{not_nested}{f"{chr(10)}{STACKED}{chr(10)}" if record.parts else ""}
{terms}

{BY_PENALTY}

**Not known**: how it does on other scanners, protocols or populations than those of the training cohort.
"""


def _chosen(record: LockedCandidate, result: CandidateResult, found: Comparison) -> str:
    """Who chose it, and what that is worth."""
    honest = f"Of whatever each fold chose in its training part it is {estimate(found.chosen.auc)}"
    if record.candidate == found.chosen.name:
        return (
            f"It is the candidate with the greatest of them, and so its AUC is flattered by the choice. {honest}: "
            f"quote that one. {len(result.chosen_in)} of {len(found.chosen.by_fold)} folds chose it."
        )
    return f"It was named by a person; the comparison would have taken `{found.chosen.name}`. {honest}."


def needs(record: LockedCandidate) -> tuple[str, ...]:
    """What `predict` must be given to score a case, a clause each."""
    networks = record.networks_sha256 is not None
    measured = networks or any(part.candidate == "radiomics" for part in record.simple)
    clauses = [f"images of {', '.join(record.channel_names.values())}"] if measured else []
    if record.needs_roi:
        clauses.append(f"a tumour ROI on the grid of {record.roi_channel} (--rois)")
    if columns := record.clinical_columns:
        clauses.append(f"a table with columns case, {', '.join(one.name for one in columns)} (--clinical)")
    if library := record.library_needed:
        clauses.append(f"the package {library}")
    return tuple(clauses)


def _needs(record: LockedCandidate) -> str:
    levels = [
        f"\n  - {as_markdown(one.name)}: "
        + (
            f"{one.low:g} to {one.high:g}"
            if one.low is not None and one.high is not None
            else as_markdown(", ".join(one.levels))
        )
        for one in record.clinical_columns
    ]
    return as_markdown("; ".join(needs(record))) + "." + "".join(levels)


def _table(one: LockedCandidate | CandidatePart) -> str:
    """The largest terms, the largest first."""
    effects = largest_effects(one)
    more = f" (the largest {len(effects)} of {len(one.features)})" if len(effects) < len(one.features) else ""
    what = "half the change of log-odds from one SD below the middle to one above" if one.trees else "log-odds per SD"
    lines = "\n".join(f"| {as_markdown(name)} | {value:+.3f} |" for name, value in effects)
    name = "parts" if DEEP in one.features else one.candidate
    return f"| {name}{more} | {what}; of a level: what it adds |\n|---|---|\n{lines}\n"


def largest_effects(one: LockedCandidate | CandidatePart, most: int = MOST_TERMS) -> list[tuple[str, float]]:
    """The features with the largest effects (`effect_of`), the largest first; those without any are left out."""
    found = [(name, effect_of(one, name)) for name in one.features]
    return sorted((pair for pair in found if pair[1]), key=lambda pair: (-abs(pair[1]), pair[0]))[:most]
