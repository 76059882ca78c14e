"""`compare --lock`: a candidate fitted on the whole training cohort, in a folder of its own, for `predict -m`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodls.candidates.fold import DEEP
from autodls.candidates.learners import Learner
from autodls.candidates.locking import SIMPLE, fit_candidate, fit_integrated
from autodls.candidates.nested import Part
from autodls.candidates.terms import Terms
from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.inference.model_copy import card_of, write_with_networks_of
from autodls.inference.model_files import check_model_folder
from autodls.models.recalibration import WEAK_PRIOR_SD, fit_scale
from autodls.records.comparison import FoldComparison
from autodls.records.files import sha256_of_bytes, write_text
from autodls.records.fingerprint import Fingerprint
from autodls.records.locked_candidate import CANDIDATE, CARD, NETWORKS, CandidatePart, LockedCandidate
from autodls.records.model_folders import ModelFolder
from autodls.records.plan import Plan
from autodls.records.provenance import versions
from autodls.records.results_folder import renewed
from autodls.stages.provenance import files_below
from autodls.stages.session import Session

if TYPE_CHECKING:
    from autodls.analysis.comparison_results import Comparison
    from autodls.evaluation.arrays import Floats

_SOURCES = {
    "youden": "Youden index of the candidate's {of} scores of the training cohort",
    "class_medians": "half way between the classes' median {of} log-odds of the candidate",
}


@dataclass(frozen=True)
class Locking:
    """What a candidate is locked from: the comparison, its folds, and calibrated out-of-fold log-odds of networks."""

    session: Session
    plan: Plan
    splits_sha256: str
    learners: Mapping[str, Learner]
    whole: Part
    folds: Sequence[FoldComparison]
    found: "Comparison"
    networks: Mapping[str, float]

    def out_of_fold(self, name: str) -> "Floats":
        """Log-odds of the training cases (n,) by the candidate `name`, each by the fold that did not learn it."""
        held = {case: value for fold in self.folds for case, value in fold.scores[name].items()}
        scores = self.networks if name == DEEP else held
        return np.array([scores[case] for case in self.whole.cases], dtype=np.float64)

    @property
    def fold_of(self) -> list[int]:
        """The fold whose test case each training case is (n,)."""
        held = {case: fold.fold for fold in self.folds for case in next(iter(fold.scores.values()))}
        return [held[case] for case in self.whole.cases]


def require_known(name: str, experiments: Collection[str] = ()) -> None:
    """Raise ArgumentError for a name that no candidate has, nor one of the `experiments` that are compared."""
    if name not in (*SIMPLE, DEEP, *experiments) and not name.startswith("integrated"):
        raise ArgumentError(
            f"--candidate {name}: is no candidate; name one of {', '.join((*SIMPLE, DEEP))}, integrated, "
            "integrated_clinical, integrated_radiomics"
        )


def lock_candidate(name: str, given: Locking) -> Path:
    """Write the folder of the locked candidate `name`, with the networks where it has some; where its record lies.

    Recalibration and cut-off come from out-of-fold scores. Raises ArgumentError for a candidate that was not compared,
    or is no better than chance out of fold.
    """
    if name not in given.found.candidates:
        why = given.found.left_out.get(name) or f"those compared are {', '.join(given.found.candidates)}"
        raise ArgumentError(f"candidate '{name}' cannot be locked: it was not compared; {why}")
    auc = given.found.candidates[name].auc
    if auc.value is None or auc.value <= 0.5:
        raise ArgumentError(
            f"candidate '{name}' has an out-of-fold AUC of {auc.value}, no better than chance: nothing is locked"
        )
    from autodls.analysis.candidate_card import candidate_card

    folder = given.session.workspace.candidate
    bare = _integrated(name, given) if given.found.candidates[name].made_of else _simple(name, given)
    card = candidate_card(bare, given.found)
    record = bare.model_copy(update={"card_sha256": sha256_of_bytes(card.encode())}).sealed()
    with renewed(folder, CANDIDATE, files_below(folder)) as stage:
        if record.networks_sha256 is not None:
            checked = check_model_folder(given.session.workspace.model.root)
            write_with_networks_of(checked, checked.record, card_of(checked), ModelFolder(stage / NETWORKS))
        write_text(stage / CARD, card)
        record.save(stage / CANDIDATE)
    return folder / CANDIDATE


def _simple(name: str, given: Locking) -> LockedCandidate:
    part = _part(name, given)
    fields = {key: getattr(part, key) for key in CandidatePart.model_fields if key != "candidate"}
    if name != "clinical":
        seen = Fingerprint.load(given.session.workspace.fingerprint, "run 'autodls plan'", StaleRecordError)
        fields["fingerprint"] = seen.travelling()
    return _record(name, given, fields, given.out_of_fold(name), "out-of-fold")


def _integrated(name: str, given: Locking) -> LockedCandidate:
    made_of = given.found.candidates[name].made_of
    scores = np.column_stack([given.out_of_fold(part) for part in made_of])
    fit = fit_integrated(made_of, scores, given.whole.labels, given.fold_of)
    fields = {
        **_numbers(fit.terms),
        "library": None,
        "setting": fit.setting,
        "parts": tuple(_part(part, given) for part in made_of if part != DEEP),
        "networks_sha256": check_model_folder(given.session.workspace.model.root).sha256,
    }
    return _record(name, given, fields, fit.cross_fitted, "cross-fitted")


def _part(name: str, given: Locking) -> CandidatePart:
    from autodls.candidates.radiomics import library

    settings = given.session.cohort.description.autodls
    fit = fit_candidate(name, given.learners[name], given.whole, settings.missing)
    found = library() if name == "radiomics" else None
    return CandidatePart.model_validate(
        {"candidate": name, "library": found, "setting": fit.setting, **_numbers(fit.terms)}
    )


def _numbers(terms: Terms) -> dict[str, object]:
    return {name: value for name, value in vars(terms).items() if name in LockedCandidate.model_fields}


def _record(name: str, given: Locking, fields: Mapping[str, object], odds: "Floats", of: str) -> LockedCandidate:
    session, labels = given.session, given.whole.labels
    description, cutoff = session.cohort.description, given.plan.training.cutoff
    scale = fit_scale(odds, labels, WEAK_PRIOR_SD)
    youden, middle = youden_cutoff(labels, scale.probability(odds)), class_medians_cutoff(labels, odds)
    if youden is None or middle is None:
        raise ArgumentError(f"candidate '{name}': no cut-off from {len(odds)} cases; both classes are needed")
    cutoffs = {"youden": youden, "class_medians": float(scale.probability(np.array([middle]))[0])}
    auc, missing = given.found.candidates[name].auc, description.autodls.missing
    return LockedCandidate.model_validate(
        {
            "candidate": name,
            "dataset": description.name or session.cohort.folder.name,
            "target": description.autodls.target,
            "channel_names": description.channel_names,
            "file_ending": description.file_ending,
            "roi_labels": tuple(sorted(session.roi_labels)),
            "other_labels": tuple(sorted(getattr(session.roi_labels, "others", ()))),
            "preprocessing": given.plan.preprocessing,
            **fields,
            "missing": {column: codes for column, codes in missing.items() if column in description.autodls.clinical},
            "recalibration": scale,
            "cutoff": cutoffs[cutoff],
            "cutoff_source": _SOURCES[cutoff].format(of=of),
            "training_cases": len(odds),
            "training_positives": int(labels.sum()),
            "out_of_fold_auc": {"value": auc.value, "low": auc.low, "high": auc.high},
            "splits_sha256": given.splits_sha256,
            "versions": versions(),
        }
    )
