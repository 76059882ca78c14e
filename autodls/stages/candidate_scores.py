"""The score of a case by a locked candidate: what is measured and recorded of it, and what is made of that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from autodls.errors import AutoDLSError, DatasetError
from autodls.inference.inputs import InputCase, without_folders
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction
from autodls.parallel import map_parallel
from autodls.records.files import sha256_of_bytes, sha256_of_input
from autodls.records.locked_candidate import (
    DEEP,
    NETWORKS,
    VOLUME,
    CandidatePart,
    LockedCandidate,
    log_odds_of,
)
from autodls.records.scale import sigmoid

_LEAST = 1e-12  # of a probability, so that its logit is a number


@dataclass(frozen=True)
class OpenCandidate:
    """A locked candidate, and the clinical cells of the cases that it is to score.

    Radiomic features are kept in folder `kept` where there is one.
    """

    folder: Path
    record: LockedCandidate
    sha256: str
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    table: str = ""
    kept: Path | None = None

    @property
    def networks(self) -> Path | None:
        """The model folder that it is made of; None where it has no networks."""
        return self.folder / NETWORKS if self.record.networks_sha256 is not None else None

    def integrated(self, prediction: Prediction, cases: Sequence[InputCase], workers: int) -> Prediction:
        """The candidate's scores in the place of those of its networks in `prediction`, which are a part of them."""
        deep = {score.case: score for score in prediction.cases}
        scored = [case for case in cases if case.id in deep]
        work = partial(_integrated, self, deep)
        found = map_parallel(work, scored, [case.id for case in scored], workers, lambda _case: None)
        inputs = {name: dict(one) for name, one in prediction.inputs.items()}
        for result, more in found:
            inputs[result.case] = inputs.get(result.case, {}) | more
        results = [result for result, _ in found]
        failed = [*prediction.failed, *(one for one in results if isinstance(one, CaseFailure))]
        return prediction.model_copy(
            update={
                "model_sha256": self.sha256,
                "cases": tuple(one for one in results if isinstance(one, CaseScore)),
                "failed": tuple(sorted(failed, key=lambda one: one.case)),
                "inputs": inputs,
            }
        )


def scored_by(candidate: OpenCandidate, case: InputCase) -> tuple[CaseScore | CaseFailure, dict[str, str]]:
    """The score of a case by a candidate without networks, or why it has none, with the hashes of its inputs."""
    locked, paths = candidate.record, {}
    if locked.needs_roi:  # else neither images nor ROI are looked at
        paths = {**case.images, **({"roi": case.roi} if case.roi is not None else {})}
    try:
        inputs = {name: sha256_of_input(path) for name, path in paths.items()} | _clinical_input(candidate, case.id)
        values, flags = measured(locked, candidate, case)
        without = "networks" if locked.needs_roi else "networks, image or ROI"
        said = f"scored by the locked candidate '{locked.candidate}', without {without}"
        score = _score(candidate, case.id, values, (*case.told, *flags, *_unlike(locked, case), said))
        return score, inputs
    except AutoDLSError as failure:
        return _failure(case, failure), {}


def _unlike(locked: LockedCandidate, case: InputCase) -> tuple[str, ...]:
    """What sets the ROI of a case apart from those of training, and its images where they are measured."""
    seen = locked.fingerprint
    if seen is None or case.roi is None or not locked.needs_roi:
        return ()
    from autodls.imaging.volumes import read_roi, read_volume
    from autodls.inference.ood import OodMonitor
    from autodls.inference.rois import UsedRoi
    from autodls.planning.ood import tumour_flags
    from autodls.planning.tumour import volume_ml

    if locked.candidate == "volume":
        return tuple(tumour_flags(volume_ml(read_roi(case.roi, locked.mask_labels)), seen.tumour, seen.cases))
    monitor = OodMonitor(seen, UsedRoi(case.roi, locked.mask_labels, "manual", ()))
    for sequence, path in case.images.items():
        monitor.look(sequence, read_volume(path))
    return monitor.flags


def _integrated(
    candidate: OpenCandidate, deep: Mapping[str, CaseScore], case: InputCase
) -> tuple[CaseScore | CaseFailure, dict[str, str]]:
    """The score of a case by all parts; the networks' score is there."""
    locked, networks = candidate.record, deep[case.id]
    chance = float(np.clip(networks.dls, _LEAST, 1 - _LEAST))
    values, flags = {DEEP: float(np.log(chance / (1 - chance)))}, list(networks.flags)
    try:
        for part in locked.parts:
            found, said = measured(part, candidate, case)
            values[part.candidate] = log_odds_of(part, found)
            flags += said
    except AutoDLSError as failure:
        return _failure(case, failure), {}
    told = ", ".join(f"{name} {float(sigmoid(np.array(value))):.3f}" for name, value in values.items())
    score = _score(candidate, case.id, values, (*flags, f"scored by the locked candidate '{locked.candidate}': {told}"))
    kept = {"sequences": networks.sequences, "rois": networks.rois, "parts": values}
    return score.model_copy(update=kept), _clinical_input(candidate, case.id)


def _failure(case: InputCase, failure: AutoDLSError) -> CaseFailure:
    paths = [*case.images.values(), *([case.roi] if case.roi is not None else [])]
    reason = without_folders(str(failure), paths)
    return CaseFailure(case=case.id, reason=f"case {case.id}: {reason.removeprefix(f'case {case.id}: ')}")


def _score(candidate: OpenCandidate, case: str, values: Mapping[str, float], flags: tuple[str, ...]) -> CaseScore:
    locked = candidate.record
    odds = np.array([locked.log_odds(values)])
    score = float(locked.recalibration.probability(odds)[0])
    return CaseScore(
        case=case,
        dls=score,
        call="high" if score >= locked.cutoff else "low",
        cutoff=locked.cutoff,
        spread=None,
        dls_raw=float(sigmoid(odds)[0]),
        sequences={},
        rois="manual",
        flags=flags,
    )


def measured(
    one: LockedCandidate | CandidatePart, candidate: OpenCandidate, case: InputCase
) -> tuple[dict[str, float], list[str]]:
    """The features of a case that `one` needs, and what a person should know; raises DatasetError where it has none."""
    if case.gap is not None:
        raise DatasetError(case.gap)
    if one.columns:
        return _clinical(one, candidate, case.id)
    if case.roi is None:
        raise DatasetError("no ROI; draw the tumour on the ROI channel")
    if one.candidate == "volume":
        return _volume(case.roi, candidate.record)
    from autodls.candidates.radiomic_cases import radiomics_of_case

    locked, kept = candidate.record, None if candidate.kept is None else candidate.kept / f"{case.id}.json"
    found, flags = radiomics_of_case(case.id, case.images, case.roi, locked.mask_labels, locked.preprocessing, kept)
    if not found:
        raise DatasetError("; ".join(flags) or "nothing could be measured")
    if lacking := [name for name in one.features if name not in found]:
        flags.append(f"{len(lacking)} of {len(one.features)} features are missing and taken at their middle")
    return found, flags


def _volume(roi: Path, locked: LockedCandidate) -> tuple[dict[str, float], list[str]]:
    from autodls.imaging.volumes import read_roi
    from autodls.planning.tumour import volume_ml

    if not (volume := volume_ml(read_roi(roi, locked.mask_labels))) > 0:
        raise DatasetError("the ROI is empty; draw the tumour")
    return {VOLUME: float(np.log(volume))}, []


def _clinical(
    one: LockedCandidate | CandidatePart, candidate: OpenCandidate, case: str
) -> tuple[dict[str, float], list[str]]:
    if (row := candidate.rows.get(case)) is None:
        raise DatasetError(f"no row of this case in {candidate.table}; its column 'case' holds the name of the images")
    values: dict[str, float] = {}
    flags: list[str] = []
    for column in one.columns:
        found, said = column.read(row[column.name])
        values |= found
        flags += said
    return values, flags


def _clinical_input(candidate: OpenCandidate, case: str) -> dict[str, str]:
    """The hash of the cells that a case is scored with; nothing where no table is needed."""
    row = candidate.rows.get(case)
    return {} if row is None else {"clinical": sha256_of_bytes(json.dumps(row, sort_keys=True).encode())}
