"""The record and the card of a model that was updated at a second site."""

from autodls.analysis.updating import Update
from autodls.evaluation.caveats import is_better_than_chance
from autodls.records.files import sha256_of_bytes
from autodls.records.formatting import estimate, p_equation
from autodls.records.model import ModelRecord
from autodls.records.scale import LogisticScale
from autodls.records.spelled import as_markdown, as_markdown_code
from autodls.records.update import Method, ModelUpdate, UpdateFigures

ADVISED_OF_A_CLASS = 100
_RULES = {
    "youden": "Youden index of the updated scores",
    "class_medians": "half way between the classes' median updated log-odds",
}
WHAT: dict[Method, str] = {
    "none": "nothing",
    "intercept": "the intercept of the recalibration, and the cut-off",
    "intercept+slope": "intercept and slope of the recalibration, and the cut-off",
}
ROWS = {
    "calibration-in-the-large (0)": "intercept_large",
    "calibration slope (1)": "slope",
    "Brier score": "brier",
    "sensitivity at the cut-off": "sensitivity",
    "specificity at the cut-off": "specificity",
}


def updated_record(
    first: ModelRecord, update: Update, rule: str, what: ModelUpdate, old_card: str
) -> tuple[ModelRecord, str]:
    """The sealed record of `first` after `update`, whose cut-off goes by `rule`, and its card."""
    of_mean = first.ensemble_recalibration
    changed = first.model_copy(
        update={
            "recalibration": first.recalibration.followed_by(update.scale),
            "ensemble_recalibration": None if of_mean is None else of_mean.followed_by(update.scale),
            "cutoff": update.cutoffs[rule],
            "youden_cutoff": update.cutoffs["youden"],
            "cutoff_source": f"{_RULES[rule]} of the {what.cases} cases of {what.dataset} that it was updated on",
            "cautions": (*first.cautions, *_cautions(what)),
            "updated": what,
        }
    )
    card = updated_card(changed, old_card)
    return changed.model_copy(update={"card_sha256": sha256_of_bytes(card.encode())}).sealed(), card


def _cautions(what: ModelUpdate) -> tuple[str, ...]:
    if is_better_than_chance(what.auc.value, what.auc.low):
        return ()
    return (
        f"its AUC on the cases that it was updated on is {estimate(what.auc)}: it is not shown to be better than a "
        "guess there",
    )


def doubts(what: ModelUpdate) -> list[str]:
    """What to know of an update on fewer than a hundred of a class, and of one that not every fold chose.

    Vergouwe et al., J Clin Epidemiol 2005;58:475-483; Collins et al., Stat Med 2016;35:214-226.
    """
    told, rarer = [], min(what.positives, what.cases - what.positives)
    if rarer < ADVISED_OF_A_CLASS:
        told.append(
            f"{rarer} cases of the rarer class: to judge a model at a site, {ADVISED_OF_A_CLASS} of each are advised; "
            "with fewer, read the intervals, not the numbers"
        )
    others = [name for name in what.fold_methods if name != what.method]
    if others and what.method != "none":
        told.append(
            f"{len(others)} of {what.folds} folds chose another update ({', '.join(dict.fromkeys(others))}) than all "
            f"cases do ({what.method}): the figures of the updated model are of those folds, and their limits of "
            "calibration are too narrow (of 95 %, they hold in 67 to 89 %, simulated)"
        )
    return told


def why(what: ModelUpdate) -> str:
    """What chose the method, in a clause."""
    if what.asked:
        return "the method was given beforehand"
    slope = f"; that its slope fits: {p_equation(what.p_slope)}" if what.p_slope is not None else ""
    few = "" if what.p_slope is not None else "; too few cases for a slope"
    return f"likelihood-ratio test that the first model fits as it is: {p_equation(what.p_any)}{slope}{few}"


def table(before: UpdateFigures, after: UpdateFigures) -> list[list[str]]:
    """Rows of name, first model, updated model."""
    return [[name, estimate(getattr(before, key)), estimate(getattr(after, key))] for name, key in ROWS.items()]


def updated_card(record: ModelRecord, old_card: str) -> str:
    """MODEL_CARD.md: what was updated on what, and the first model's card below it."""
    what = record.updated
    if what is None:
        return old_card
    rows = "\n".join(f"| {' | '.join(row)} |" for row in table(what.before, what.after))
    chose = "" if what.asked else "chose the method, "
    map_of = LogisticScale(slope=what.slope, intercept=what.intercept)
    cautions = "".join(f"\n**Caution**: {as_markdown(one)}.\n" for one in (*_cautions(what), *doubts(what)))
    return f"""# Model card: {as_markdown(record.target.name)}, updated at a second site

For research; not a medical device.
{cautions}
- **First model**: `model.json` of SHA-256 `{what.model_sha256}`; its networks are used as they are. Its card follows
  below: where it speaks of the probability or the cut-off, what is said here holds instead.
- **Updated**: {WHAT[what.method]} ({why(what)}). New log-odds =
  {map_of.slope:.4f} x those of the first model {map_of.intercept:+.4f}.
- **Updated on**: {what.cases} cases of {as_markdown_code(what.dataset)}, {what.positives} positive. The probability now
  holds for a population like that one.
- **Cut-off**: high at or above {what.cutoff:.4f} ({as_markdown(record.cutoff_source)}); that of the first model was
  {what.cutoff_before:.4f} of its own score.

| on these cases | first model | updated model, cross-fitted |
|---|---|---|
{rows}

The AUC, {estimate(what.auc)}, is the same for both: the update keeps the order of the cases. The updated model is
judged by {what.folds} folds, each of which {chose}fitted it and chose the cut-off without the cases that it judges.
Brier score of the first model less that of the updated one: {estimate(what.brier_gain, 4)}.

**Not known**: how the updated model does on cases of this site that came later, or of a third one.

---

{old_card.strip()}
"""
