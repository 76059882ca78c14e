"""The manual ROI drawn a little smaller, larger or elsewhere: what becomes of the score?

Only the ROI changes: model, images and everything else stay. The ROI chooses planes and crop, so what is felt is
another slice or another centre. A radius below the distance of two slices changes nothing across them; see
`autodls.imaging.perturbation`.
"""

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from autodls.evaluation.agreement_records import KINDS, STEPS_MM, PerturbationKind, PerturbedScore
from autodls.imaging.geometry import Triple, Volume, as_triple
from autodls.imaging.perturbation import Perturbed, centroid_mm, dilate, erode, shift
from autodls.imaging.volumes import read_roi, write_volume
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.rescoring import PairedCase, ScoreCache, prepare, roi_of, sample_key
from autodls.preprocessing.store import Sample


def direction(rng: np.random.Generator) -> Triple:
    """A unit vector in LPS, every direction alike."""
    vector = rng.normal(size=3)
    return as_triple(vector / np.linalg.norm(vector))


def perturbed_scores(
    model: LockedModel, paired: PairedCase, towards: Triple, book: ScoreCache
) -> Iterator[PerturbedScore]:
    """The score of one case by its manual ROI after each change, by the fold that did not see it, or the ensemble.

    ROIs are shifted along the unit vector `towards` (LPS). Raises DatasetError for a case that cannot be prepared.
    """
    files = paired.rois["manual"]
    key = sample_key(model, files)
    before = book.score(model, paired.fold, key, functools.partial(prepare, model, files, key))
    roi = read_roi(roi_of(files), files.roi_labels(model.record))
    for kind in KINDS:
        for step_mm in STEPS_MM:
            changed = _change(roi, kind, step_mm, towards)
            if changed.roi is None:
                yield _lost(files.id, kind, step_mm, before, str(changed.reason))
                continue
            make = functools.partial(_prepare, model, files, changed.roi)
            name = f"{key}:{kind}:{step_mm:g}:{towards if kind == 'shifted' else ''}"
            yield PerturbedScore(
                case=files.id,
                kind=kind,
                nominal_mm=step_mm,
                unperturbed_dls=before,
                dls=book.score(model, paired.fold, name, make),
                moved_mm=float(np.linalg.norm(centroid_mm(changed.roi) - centroid_mm(roi))),
                volume_ratio=np.count_nonzero(changed.roi.array) / np.count_nonzero(roi.array),
            )


def _change(roi: Volume, kind: PerturbationKind, step_mm: float, towards: Triple) -> Perturbed:
    if kind == "shifted":
        return shift(roi, as_triple(step_mm * np.asarray(towards)))
    return erode(roi, step_mm) if kind == "eroded" else dilate(roi, step_mm)


def _prepare(model: LockedModel, files: InputCase, roi: Volume) -> Sample:
    """The sample of a case with another ROI, which goes through a file as any other does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "roi.nii.gz"
        write_volume(path, roi)
        return prepare(model, replace(files, roi=path, kind="auto"), "perturbed")  # written as 0 and 1


def _lost(case: str, kind: PerturbationKind, step_mm: float, before: float, reason: str) -> PerturbedScore:
    return PerturbedScore(
        case=case, kind=kind, nominal_mm=step_mm, unperturbed_dls=before, dls=None, moved_mm=None, volume_ratio=None,
        reason=reason,
    )  # fmt: skip
