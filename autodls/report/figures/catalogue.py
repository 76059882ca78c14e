"""All figures of a study, by the name of their files."""

from collections.abc import Sequence

import numpy as np

from autodls.analysis.cohort_flow import Flow
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.report.drawn import Drawn
from autodls.report.figures.cohort_flow import flow_figure
from autodls.report.figures.discrimination import roc_figure
from autodls.report.figures.lettering import drawn_name, is_drawable, stand_ins, undrawable_caution
from autodls.report.figures.probability import calibration_figure, decision_figure
from autodls.report.figures.survival import survival_figure
from autodls.report.naming import cohort_label, score_label


def study_figures(
    table: ScoreTable,
    metrics: Metrics,
    flow: Flow,
    rng: np.random.Generator,
    *,
    positive: str = "positive",
    unit: str = "",
    endpoint: str = "Survival",
    groups: str | None = None,
    calibrated: bool = False,
    probabilities: ScoreTable | None = None,
) -> dict[str, Drawn]:
    """Every figure that the data allow; `metrics` are those of `table`.

    Figures of labels need a cohort with labels, Kaplan-Meier curves one with follow-up. `positive` names the positive
    class, `unit` that of time, `endpoint` what is survived, `groups` the score that divides the patients (the reference
    unless given); `calibrated` says that the reference was recalibrated on other cases. `probabilities` is `table` for
    the figures of calibration and of decisions, where these judge other numbers. `rng` draws the bootstrap of the
    decision and calibration curves.
    """
    drawn = {"cohort_flow": flow_figure(flow, positive)}
    if any(cohort.labels is not None for cohort in table.cohorts.values()):
        drawn["roc"] = roc_figure(table, metrics)
        judged = probabilities or table
        decision = decision_figure(judged, metrics, rng, calibrated=calibrated)
        drawn["calibration"] = calibration_figure(judged, metrics, rng)
        drawn["decision_curve"] = decision
    if any(cohort.times is not None for cohort in table.cohorts.values()):
        drawn["kaplan_meier"] = survival_figure(table, metrics, unit, endpoint, _groups(groups, metrics.reference))
    return drawn


def _groups(name: str | None, reference: str) -> str:
    """What the score that divides the patients is called: a label first, then `name`, then as the data call it."""
    label = score_label(reference)
    return label if name is None or label != reference else name


def figure_names(
    metrics: Metrics, flow: Flow, others: Sequence[tuple[str, str]] = ()
) -> tuple[dict[str, str], list[str]]:
    """The stand-ins of the names that no font can draw, and a sentence for each that ties it to its name.

    `others` are names beside cohorts and scores, each with what it names, such as ("target", "PD-L1 high"): of these
    only the signs that no font has are replaced.
    """
    cohorts = list(dict.fromkeys(map(cohort_label, [*metrics.cohorts, *(count.name for count in flow.cohorts)])))
    scores = list(dict.fromkeys(score_label(one) for cohort in metrics.cohorts.values() for one in cohort.scores))
    kinds = {"cohort": stand_ins("cohort", cohorts), "score": stand_ins("score", scores)}
    told = [undrawable_caution(kind, name, shown) for kind, held in kinds.items() for name, shown in held.items()]
    told += [undrawable_caution(kind, name, drawn_name(name)) for kind, name in others if not is_drawable(name)]
    return {**kinds["cohort"], **kinds["score"]}, told
