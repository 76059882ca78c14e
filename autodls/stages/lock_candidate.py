"""`compare --lock`: a candidate without networks, fitted on the whole training cohort, for `predict -m`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from autodls.candidates.learners import Learner
from autodls.candidates.locking import Fit, fit_candidate
from autodls.candidates.nested import Part
from autodls.errors import ArgumentError
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import printed_auc
from autodls.models.recalibration import fit_scale
from autodls.records.locked_candidate import CANDIDATE, LockedCandidate
from autodls.records.plan import Plan
from autodls.records.provenance import versions
from autodls.stages.session import Session

_WEAK_PRIOR_SD = 10.0  # that of the locked networks' recalibration
_SOURCES = {
    "youden": "Youden index of the candidate's out-of-fold scores of the training cohort",
    "class_medians": "half way between the classes' median out-of-fold log-odds of the candidate",
}


def lock_candidate(
    name: str,
    learners: Mapping[str, Learner],
    session: Session,
    plan: Plan,
    whole: Part,
    folds: Sequence[tuple[Part, tuple[str, ...]]],
    splits_sha256: str,
) -> Path:
    """Write candidate.json of the candidate `name`; where it lies.

    `folds` are training parts with the test cases of each. Recalibration and cut-off come from the candidate's own
    out-of-fold scores. Raises ArgumentError for a candidate that was not compared, cannot be locked, or is no better
    than chance out of fold.
    """
    if name not in learners and name in ("volume", "radiomics"):
        raise ArgumentError(f"candidate '{name}' cannot be locked: it is left out of the comparison; see why above")
    fit = fit_candidate(name, learners.get(name, next(iter(learners.values()))), whole, folds)
    record = _record(name, fit, session, plan, whole, splits_sha256).sealed()
    path = session.workspace.candidate / CANDIDATE
    record.save(path)
    return path


def _record(name: str, fit: Fit, session: Session, plan: Plan, whole: Part, splits_sha256: str) -> LockedCandidate:
    from autodls.candidates.radiomics import library

    description = session.cohort.description
    odds = np.array([fit.out_of_fold[case] for case in whole.cases])
    found = auc_with_ci(whole.labels, odds, patients=whole.patients, out_of_fold=True)
    shown = printed_auc(whole.labels, odds, found, whole.patients, plan.training.seed)
    if shown.value is None or shown.value <= 0.5:
        raise ArgumentError(
            f"candidate '{name}' has an out-of-fold AUC of {shown.value}, no better than chance: nothing is locked"
        )
    scale = fit_scale(odds, whole.labels, _WEAK_PRIOR_SD)
    youden, middle = youden_cutoff(whole.labels, scale.probability(odds)), class_medians_cutoff(whole.labels, odds)
    if youden is None or middle is None:
        raise ArgumentError(f"candidate '{name}': no cut-off from {len(odds)} cases; both classes are needed")
    cutoffs = {"youden": youden, "class_medians": float(scale.probability(np.array([middle]))[0])}
    terms = fit.terms
    return LockedCandidate(
        candidate="volume" if name == "volume" else "radiomics",
        dataset=description.name or session.cohort.folder.name,
        target=description.autodls.target,
        channel_names=description.channel_names,
        file_ending=description.file_ending,
        roi_labels=tuple(sorted(session.roi_labels)),
        other_labels=tuple(sorted(getattr(session.roi_labels, "others", ()))),
        preprocessing=plan.preprocessing,
        library=library() if name == "radiomics" else None,
        setting=terms.setting,
        features=terms.features,
        middle=terms.middle,
        spread=terms.spread,
        coefficients=terms.coefficients,
        intercept=terms.intercept,
        farthest=terms.farthest,
        recalibration=scale,
        cutoff=cutoffs[plan.training.cutoff],
        cutoff_source=_SOURCES[plan.training.cutoff],
        training_cases=len(odds),
        training_positives=int(whole.labels.sum()),
        out_of_fold_auc={"value": shown.value, "low": shown.low, "high": shown.high},
        splits_sha256=splits_sha256,
        versions=versions(),
    )
