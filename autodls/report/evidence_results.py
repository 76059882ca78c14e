"""What metrics, tables and figures say of what came out."""

from collections.abc import Mapping

from autodls.evaluation.rows import OUT_OF_FOLD
from autodls.report.evidence import Evidence, known, says
from autodls.report.interval_notes import is_over_patients
from autodls.report.study import Study
from autodls.report.wording import counted, estimate, number


def _cohorts(study: Study) -> str:
    texts = []
    for name, cohort in known(study.metrics).cohorts.items():
        positives = "no labels" if cohort.positives is None else f"{counted(cohort.positives, cohort.n)} positive"
        texts.append(f"{name}: n = {cohort.n}, {positives}")
    return f"{'; '.join(texts)}."


def _excluded(study: Study) -> str:
    cohorts = known(study.metrics).cohorts
    counts = ", ".join(f"{name} {len({row.row for row in cohort.excluded})}" for name, cohort in cohorts.items())
    return (
        f"Rows left out of the analysis, or of a part of it, for want of a label, score or time: {counts}; what each "
        "is left out of, and why, stands in the file."
    )


def _measures(study: Study) -> str:
    survival = any(cohort.survival for cohort in known(study.metrics).cohorts.values())
    text = (
        "AUC, ROC; at the cut-off sensitivity, specificity, PPV, NPV, accuracy; Brier score, plain and scaled, "
        "calibration; net benefit"
    )
    return f"{text}; Kaplan-Meier, log-rank, Cox regression." if survival else f"{text}."


def _uncertainty(study: Study) -> str:
    metrics = known(study.metrics)
    text = (
        "95% intervals: DeLong on the logit scale for AUCs, Wilson for proportions; paired DeLong tests between scores "
        "with Holm's adjustment. Of out-of-fold AUCs, intervals and tests take twice DeLong's variance, as folds share "
        "their training cases: by simulation, the interval covers the AUC on new patients of models trained as these "
        "in 95 to 99%. It is not of the ensemble."
    )
    several = [name for name, cohort in metrics.cohorts.items() if is_over_patients(cohort, metrics.reference)]
    if not several:
        return text
    return (
        f"{text} In {', '.join(several)} some patients have several cases: there, intervals of AUCs are of a bootstrap "
        "over patients, of proportions Wilson's for an effective number of cases, and the tests take Obuchowski's "
        "variance of clustered data."
    )


def _performance(study: Study) -> str:
    metrics = known(study.metrics)
    texts = []
    for name in study.unseen_cohorts:
        held = metrics.cohorts[name].scores[metrics.reference]
        texts.append(f"{name}: {estimate(held.auc)}" if held.auc.value is not None else f"{name}: {held.auc.reason}")
    return f"AUC (95% CI) of {metrics.reference}: {'; '.join(texts)}."


def _internal(study: Study) -> str:
    cohort = known(study.metrics).cohorts.get(OUT_OF_FOLD)
    if cohort is None:
        return "The metrics hold no out-of-fold scores of the training cohort."
    return f"Out of fold, n = {cohort.n}: AUC {estimate(cohort.scores[known(study.metrics).reference].auc)}."


def _external(study: Study) -> str:
    names = [name for name in study.unseen_cohorts if name != OUT_OF_FOLD]
    return f"Held-out cohorts: {', '.join(names)}." if names else "There is no held-out cohort."


def _rates(study: Study) -> str:
    metrics = known(study.metrics)
    held = {name: metrics.cohorts[name].scores[metrics.reference] for name in study.unseen_cohorts}
    texts = [f"{name}: {estimate(one.sensitivity)} and {estimate(one.specificity)}" for name, one in held.items()]
    return f"Sensitivity and specificity at the cut-off: {'; '.join(texts)}."


def _wrong_calls(study: Study) -> str:
    metrics = known(study.metrics)
    texts = []
    for name in study.unseen_cohorts:
        found = metrics.cohorts[name].scores[metrics.reference].confusion
        texts.append(f"{name}: {found.fp} false positive, {found.fn} false negative" if found else f"{name}: no calls")
    unnamed = [name for name, cases in study.held_out.items() if all(case.label is None for case in cases)]
    but = f", but for {', '.join(unnamed)}" if unnamed else ""
    return f"{'; '.join(texts)}; the score table of this report names the cases{but}."


def _calibrated(study: Study) -> str:
    metrics = known(study.metrics)
    held = {name: metrics.cohorts[name].scores[metrics.reference].calibration for name in study.unseen_cohorts}
    texts = [
        f"{name}: slope {number(one.slope, 2)}, in the large {number(one.intercept_large, 2)}"
        for name, one in held.items()
    ]
    return f"{'; '.join(texts)}."


def _follow_up(study: Study) -> str:
    held = {name: cohort.survival for name, cohort in known(study.metrics).cohorts.items() if cohort.survival}
    texts = [f"{name}: median follow-up {number(one.median_follow_up, 1)}" for name, one in held.items()]
    return f"{'; '.join(texts)}." if texts else "The dataset has no follow-up."


def _cautions(study: Study) -> str:
    return f"{len(known(study.metrics).warnings)} warnings came with the metrics; they open this report."


def _shortcuts(study: Study) -> str:
    names = [line.get("baseline", "") for line in study.tables.get("shortcuts", ())]
    return f"Logistic regression on {', '.join(names)}, each on the same folds."


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
    "cautions": Evidence(("metrics",), _cautions),
    "roc": Evidence(("figure:roc",), says("ROC curves.")),
    "flow": Evidence(("figure:cohort_flow",), says("Cohort flow diagram.")),
    "characteristics": Evidence(("table:baseline",), says("Baseline table, cohort by cohort, with missing values.")),
    "optimism": Evidence(("table:ledger",), says("Resubstituted, inner, out-of-fold and held-out AUC side by side.")),
    "shortcuts": Evidence(("table:shortcuts",), _shortcuts),
    "single_sequences": Evidence(
        ("table:comparisons",), says("Each sequence by itself, compared with the fused score.")
    ),
    "explained": Evidence(("heatmaps",), says("Grad-CAM on three planes, for the fused score and each sequence.")),
}
"""By the names that the checklists use."""
