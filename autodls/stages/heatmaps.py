"""Heat maps of cases into a folder: pictures, images in the patient's own space, and how much lies in the tumour."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_geometry
from autodls.inference.explain import (
    MapShare,
    RandomisedMap,
    explain_sample,
    randomisation_check,
    roi_on_planes,
    shares,
    write_explanation,
)
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.prepare import explained_samples
from autodls.preprocessing.store import Sample
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.scores import FUSED
from autodls.report.figures.overlays import Overlay, write_overlay

ENSEMBLE = "ensemble"
_OWN = "single-sequence"


@dataclass(frozen=True)
class ExplainedCase:
    """A case to explain; `fold` is the one fold that did not see it, None where none did and all explain it.

    `automatic_roi` says how its ROI came about where that is automatic.
    """

    files: InputCase
    cohort: str
    fold: int | None = None
    label: bool | None = None
    dls: float | None = None
    automatic_roi: AutomaticRoi | None = None

    @property
    def by(self) -> str:
        """Who explains it, in words."""
        return ENSEMBLE if self.fold is None else f"fold {self.fold}"

    def judge(self, model: LockedModel) -> LockedModel:
        """`model`, or the one fold of it that did not see the case."""
        return model if self.fold is None else replace(model, folds=[model.folds[self.fold]])


def samples_of(model: LockedModel, cases: Sequence[InputCase], workers: int) -> Generator[Sample | str, None, None]:
    """The sample of every case, as when it is scored, or why it cannot be had."""
    return explained_samples(cases, model.record.mask_labels, model.plan.preprocessing, workers)


def write_maps(folder: HeatmapFolder, model: LockedModel, case: ExplainedCase, sample: Sample) -> list[MapShare]:
    """Write both pictures of a case and its maps as NIfTI; how much of each map lies in the tumour."""
    if case.files.roi is None:
        return []
    explanation = explain_sample(case.judge(model), sample)
    image = case.files.images.get(model.record.roi_channel)
    grid = read_geometry(image) if image is not None else None
    roi = read_roi_on(case.files.roi, case.files.roi_labels(model.record), grid).volume
    rois = roi_on_planes(roi, sample.planes)
    overlay = Overlay(sample, model.plan.sequences, rois, explanation.fused, FUSED, _target(model, case, sample))
    write_overlay(folder.fused_picture(case.files.id), overlay)
    own = replace(overlay, pictures=explanation.by_sequence, score=_OWN)
    write_overlay(folder.sequences_picture(case.files.id), own)
    write_explanation(folder.root, explanation, roi.geometry)
    return shares(explanation, rois)


def check_weights(
    model: LockedModel,
    samples: list[tuple[ExplainedCase, Sample]],
    chance: np.random.Generator,
    advance: Callable[[str], None],
) -> Iterator[RandomisedMap]:
    """The weight-randomisation check of all samples, each by the folds that explain it."""
    for fold in dict.fromkeys(case.fold for case, _ in samples):
        members = [(case, sample) for case, sample in samples if case.fold == fold]
        yield from randomisation_check(members[0][0].judge(model), [sample for _, sample in members], chance)
        for case, _ in members:
            advance(case.files.id)


def _target(model: LockedModel, case: ExplainedCase, sample: Sample) -> str:
    score = "" if case.dls is None else f" (DLS {case.dls:.2f}, {case.by})"
    lesion = f"; the largest of {len(sample.lesions)} lesions" if sample.others else ""
    return f"{model.record.target.name}{score}{lesion}"
