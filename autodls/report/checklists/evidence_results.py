"""What metrics, tables and figures say of what came out."""

from collections import Counter
from collections.abc import Iterator, Mapping

from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import CHOSEN_HERE, OUT_OF_FOLD
from autodls.records.formatting import NONE, counted, estimate, number
from autodls.report.artefacts import Artefacts
from autodls.report.checklists.evidence import Evidence, known, says
from autodls.report.naming import cohort_label, score_label
from autodls.report.tables.interval_notes import is_over_patients

_LEFT_OUT_OF = {
    "everything": "left out of all",
    "labels": "left out of what needs a label",
    "survival": "left out of survival",
    "score": "left out of that score",
}


def _cohorts(study: Artefacts) -> str:
    texts = []
    for name, cohort in known(study.metrics).cohorts.items():
        positives = "no labels" if cohort.positives is None else f"{counted(cohort.positives, cohort.n)} positive"
        texts.append(f"{cohort_label(name)}: n = {cohort.n}, {positives}")
    return f"{'; '.join(texts)}."


def _excluded(study: Artefacts) -> str:
    texts = []
    for name, cohort in known(study.metrics).cohorts.items():
        counts = Counter(f"{row.reason} ({_LEFT_OUT_OF[row.left_out_of]})" for row in cohort.excluded)
        counts |= Counter(f"{said} (left out of survival)" for said in cohort.contradicting.values())
        texts.append(f"{cohort_label(name)}: {', '.join(f'{count} {why}' for why, count in counts.items()) or 'none'}")
    return (
        f"Rows left out of the analysis, or of a part of it, with the reason: {'; '.join(texts)}. Why a value is "
        "missing, and who never came into the table, the run does not show."
    )


def _measures(study: Artefacts) -> str:
    survival = any(cohort.survival for cohort in known(study.metrics).cohorts.values())
    text = (
        "AUC, ROC; at the cut-off sensitivity, specificity, PPV, NPV, accuracy; Brier score, plain and scaled, "
        "calibration; net benefit"
    )
    return f"{text}; Kaplan-Meier, log-rank, Cox regression." if survival else f"{text}."


def _uncertainty(study: Artefacts) -> str:
    metrics = known(study.metrics)
    text = (
        "95% intervals: DeLong on the logit scale for AUCs, Wilson for proportions; paired DeLong tests between scores "
        "with Holm's adjustment. Of out-of-fold AUCs, intervals and tests take twice DeLong's variance, as folds share "
        "their training cases: by simulation, the interval covers the AUC on new patients of models trained as these "
        "in 95 to 99%. It is not of the ensemble."
    )
    several = [name for name, cohort in metrics.cohorts.items() if is_over_patients(cohort, metrics.reference)]
    if several:
        text += (
            f" In {', '.join(several)} some patients have several cases: there, intervals of AUCs are of a bootstrap "
            "over patients, of proportions Wilson's for an effective number of cases, and the tests take Obuchowski's "
            "variance of clustered data."
        )
    return " ".join([text, *_other_methods(metrics)])


def _other_methods(metrics: Metrics) -> Iterator[str]:
    """Methods of the intervals that these metrics hold."""
    scores = [score for cohort in metrics.cohorts.values() for score in cohort.scores.values()]
    if any(score.sensitivity.method == "wilson-own-cutoff" for score in scores):
        yield "At a cut-off chosen on the same cases, proportions by a bootstrap that chooses it anew."
    if any(score.brier_interval and score.brier_interval.low is not None for score in scores):
        yield "Brier score: bootstrap percentiles; calibration slope and intercept: Wald."
    followed = [cohort.survival for cohort in metrics.cohorts.values() if cohort.survival]
    if followed:
        yield "Kaplan-Meier and medians: log-log; hazard ratios: Wald, of separated data Firth's profile likelihood."
    if any(not one.logrank.p and one.cox.reason == CHOSEN_HERE for one in followed):
        yield "Tests of groups are withheld where the cut-off was chosen on labels of the same patients."
    if any(cohort.landmark for cohort in metrics.cohorts.values()):
        yield "Landmark: bootstrap percentiles of the weighted AUC; sharp bounds over the undetermined."


def _performance(study: Artefacts) -> str:
    metrics = known(study.metrics)
    texts = []
    for name in study.unseen_cohorts:
        held = metrics.cohorts[name].scores[metrics.reference]
        texts.append(
            f"{cohort_label(name)}: {estimate(held.auc)}"
            if held.auc.value is not None
            else f"{cohort_label(name)}: {held.auc.reason}"
        )
    return f"AUC (95% CI) of {score_label(metrics.reference)}: {'; '.join(texts)}."


def _internal(study: Artefacts) -> str:
    cohort = known(study.metrics).cohorts.get(OUT_OF_FOLD)
    if cohort is None:
        return "The metrics hold no out-of-fold scores of the training cohort."
    return f"Out of fold, n = {cohort.n}: AUC {estimate(cohort.scores[known(study.metrics).reference].auc)}."


def _external(study: Artefacts) -> str:
    names = [name for name in study.unseen_cohorts if name != OUT_OF_FOLD]
    return f"Held-out cohorts: {', '.join(map(cohort_label, names))}." if names else "There is no held-out cohort."


def _rates(study: Artefacts) -> str:
    metrics = known(study.metrics)
    held = {cohort_label(name): metrics.cohorts[name].scores[metrics.reference] for name in study.unseen_cohorts}
    texts = [f"{name}: {estimate(one.sensitivity)} and {estimate(one.specificity)}" for name, one in held.items()]
    return f"Sensitivity and specificity at the cut-off: {'; '.join(texts)}."


def _wrong_calls(study: Artefacts) -> str:
    metrics = known(study.metrics)
    texts = []
    for name in study.unseen_cohorts:
        found = metrics.cohorts[name].scores[metrics.reference].confusion
        texts.append(
            f"{cohort_label(name)}: {found.fp} false positive, {found.fn} false negative"
            if found
            else f"{cohort_label(name)}: no calls"
        )
    unnamed = [name for name, cases in study.held_out.items() if all(case.label is None for case in cases)]
    but = f", but for {', '.join(map(cohort_label, unnamed))}" if unnamed else ""
    return f"{'; '.join(texts)}; the score table of this report names the cases{but}."


def _calibrated(study: Artefacts) -> str:
    metrics = known(study.metrics)
    held = {name: metrics.cohorts[name].scores[metrics.reference].calibration for name in study.unseen_cohorts}
    texts = [
        f"{cohort_label(name)}: slope {number(one.slope, 2)}, in the large {number(one.intercept_large, 2)}"
        for name, one in held.items()
    ]
    return f"{'; '.join(texts)}."


def _follow_up(study: Artefacts) -> str:
    held = {name: cohort.survival for name, cohort in known(study.metrics).cohorts.items() if cohort.survival}
    texts = [f"{cohort_label(name)}: median follow-up {number(one.median_follow_up, 1)}" for name, one in held.items()]
    return f"{'; '.join(texts)}." if texts else "The dataset has no follow-up."


def _caveats(study: Artefacts) -> str:
    return f"{len(known(study.metrics).warnings)} warnings came with the metrics; they open this report."


def _shortcuts(study: Artefacts) -> str:
    names = [line.get("baseline", "") for line in study.tables.get("shortcuts", ())]
    return f"Logistic regression on {', '.join(names)}, each on the same folds."


def _clinical(study: Artefacts) -> str:
    lines = [line for line in study.tables.get("shortcuts", ()) if line.get("baseline", "").startswith("clinical")]
    if not lines:
        return "None in this run: dataset.json names no clinical variable that the training cases have."
    texts = [
        f"{line.get('columns', '')}: AUC {_digits(line, 'auc')}, gain of the score {_digits(line, 'delta')} over "
        f"{'0.5' if line.get('delta_over') == '0.5' else 'that'}"
        for line in lines
    ]
    return f"Logistic regression on clinical variables, out of fold on the same folds: {'; '.join(texts)}."


def _digits(line: Mapping[str, str], column: str) -> str:
    return number(float(line[column])) if line.get(column) else NONE


RESULTS: Mapping[str, Evidence] = {
    "cohorts": Evidence(("metrics",), _cohorts),
    "excluded": Evidence(("metrics",), _excluded),
    "measures": Evidence(("metrics",), _measures),
    "uncertainty": Evidence(("metrics",), _uncertainty),
    "performance": Evidence(("metrics",), _performance),
    "internal": Evidence(("metrics", "out_of_fold"), _internal),
    "external": Evidence(("metrics",), _external),
    "rates": Evidence(("metrics",), _rates),
    "wrong_calls": Evidence(("metrics", "out_of_fold"), _wrong_calls),
    "calibrated": Evidence(("metrics", "figure:calibration"), _calibrated),
    "follow_up": Evidence(("metrics",), _follow_up),
    "caveats": Evidence(("metrics",), _caveats),
    "roc": Evidence(("figure:roc",), says("ROC curves.")),
    "flow": Evidence(("figure:cohort_flow",), says("Cohort flow diagram.")),
    "characteristics": Evidence(("table:baseline",), says("Baseline table, cohort by cohort, with missing values.")),
    "apparent": Evidence(
        ("table:ledger",), says("Apparent, early-stopping, out-of-fold and held-out AUC side by side.")
    ),
    "shortcuts": Evidence(("table:shortcuts",), _shortcuts),
    "clinical_baseline": Evidence(("table:shortcuts",), _clinical),
    "single_sequences": Evidence(
        ("table:comparisons",), says("Each sequence by itself, compared with the fused score.")
    ),
    "explained": Evidence(("heatmaps",), says("Grad-CAM on three planes, for the fused score and each sequence.")),
}
"""By the names that the checklists use."""
