"""All figures of a study, by the name of their files."""

import numpy as np

from autodls.evaluation.results import Metrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.report.cohort_flow import Flow, flow_figure
from autodls.report.drawn import Drawn
from autodls.report.figures_discrimination import roc_figure
from autodls.report.figures_probability import calibration_figure, decision_figure
from autodls.report.figures_survival import survival_figure


def study_figures(
    table: ScoreTable,
    metrics: Metrics,
    flow: Flow,
    rng: np.random.Generator,
    *,
    positive: str = "positive",
    unit: str = "",
    endpoint: str = "Survival",
    calibrated: bool = False,
    probabilities: ScoreTable | None = None,
) -> dict[str, Drawn]:
    """Every figure that the data allow; `metrics` are those of `table`.

    Figures of labels need a cohort with labels, Kaplan-Meier curves one with follow-up. `positive` names the positive
    class, `unit` that of time, `endpoint` what is survived; `calibrated` says that the reference was recalibrated on
    other cases. `probabilities` is `table` for the figures of calibration and of decisions, where these judge other
    numbers. `rng` draws the bootstrap of the decision and calibration curves.
    """
    drawn = {"cohort_flow": flow_figure(flow, positive)}
    if any(cohort.labels is not None for cohort in table.cohorts.values()):
        drawn["roc"] = roc_figure(table, metrics)
        judged = probabilities or table
        decision = decision_figure(judged, metrics, rng, calibrated=calibrated)
        drawn["calibration"] = calibration_figure(judged, metrics, rng)
        drawn["decision_curve"] = decision
    if any(cohort.times is not None for cohort in table.cohorts.values()):
        drawn["kaplan_meier"] = survival_figure(table, metrics, unit, endpoint, metrics.reference)
    return drawn
