"""The fingerprint: the training cohort summarised, so that a plan can be derived from it.

Each case is reduced to a few numbers by itself, and a quantity is spread over cases, not over pooled voxels: a case
with a large tumour weighs no more than another, and memory does not grow with the cohort.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from autodls.errors import DatasetError
from autodls.parallel import Advance, map_parallel, no_advance
from autodls.planning.check_table import survival_problems
from autodls.planning.copies import copy_problems
from autodls.planning.measure import CaseMeasure, MeasureTask, case_inputs_sha256, measure_case
from autodls.planning.patients import count_patients
from autodls.planning.sequence_measure import PERCENTILES
from autodls.planning.tumour import PLANES_ZYX
from autodls.records.case import Case, cohort_sha256
from autodls.records.cohort import Cohort
from autodls.records.files import sha256_of_bytes
from autodls.records.fingerprint import (
    Fingerprint,
    LesionFingerprint,
    PatientCounts,
    Quantiles,
    SequenceFingerprint,
    TumourFingerprint,
)
from autodls.records.problems import Problem
from autodls.records.roi_labels import LesionsBy

UNKNOWN_SITE = "unknown"


def extract_fingerprint(
    cohort: Cohort, workers: int = 1, advance: Advance = no_advance, warn: Callable[[str], None] = lambda _line: None
) -> Fingerprint:
    """Measure every training case, and nothing else, in `workers` processes; their number does not change the result.

    `advance` is called with the id of each case as it is done, `warn` with a line for each case that shares its images
    with another of its patient, for each sequence that is blank where the tumour lies, and for what was decided for the
    person. Raises DatasetError for an image or an ROI that cannot be used, for one that stands for two sequences or
    patients, for a follow-up that is none, and where there is nothing to train on: for what `check` calls an error.
    """
    training, description = cohort.training, cohort.description
    if not training:
        raise DatasetError(f"{cohort.folder}: no training case has a label; `autodls check` says more")
    _refuse(survival_problems(training, description))
    tasks = [
        MeasureTask(case, description.roi_channel, description.roi_labels, description.autodls.lesions)
        for case in training
    ]
    measures = map_parallel(measure_case, tasks, [case.id for case in training], workers, advance)
    _require_own_images(measures, warn)
    by_patient = count_patients(training)
    for line in (*_choices(by_patient, description.not_tumour), *_blank(training, measures)):
        warn(line)
    return Fingerprint(
        dataset=description.name,
        roi_channel=description.roi_channel,
        cases=len(training),
        patients=len({case.patient for case in training}),
        positives=sum(case.label is True for case in training),
        sites=_sites(training, cohort),
        cohort_sha256=cohort_sha256(training),
        inputs_sha256=_join_hashes(measure.inputs_sha256 for measure in measures),
        roi_labels=tuple(sorted(description.roi_labels)),
        sequences={name: _sequence(name, measures) for name in description.sequences},
        tumour=TumourFingerprint(
            extent_mm={plane: quantiles([measure.extent_mm[plane] for measure in measures]) for plane in PLANES_ZYX},
            volume_ml=quantiles([measure.volume_ml for measure in measures]),
            components=quantiles([len(measure.parts_ml) for measure in measures]),
            multifocal=sum(len(measure.parts_ml) > 1 for measure in measures),
            share_beside_largest=quantiles([sum(of[1:]) / sum(of) for of in (m.parts_ml for m in measures)]),
        ),
        by_patient=by_patient,
        lesions=_lesions(description.autodls.lesions, [measure.lesions for measure in measures]),
    )


def _lesions(told_by: LesionsBy | None, counts: Sequence[int | None]) -> LesionFingerprint | None:
    found = [count for count in counts if count is not None]
    if told_by is None or not found:
        return None
    return LesionFingerprint(told_by=told_by, total=sum(found), per_case=quantiles(found))


def _choices(by_patient: PatientCounts | None, not_tumour: Sequence[str]) -> Iterator[str]:
    """What was decided for the person."""
    if by_patient is not None and by_patient.both:
        yield f"patients with positive and negative cases: {by_patient.both}; folds count them as positive"
    if not_tumour:
        yield f"labels {', '.join(not_tumour)} are not counted as tumour; autodls.tumor would name what is"


def _require_own_images(measures: Sequence[CaseMeasure], warn: Callable[[str], None]) -> None:
    """A patient who stands twice would be trained on in one fold part and judged in another."""
    problems = copy_problems(measure.voxels for measure in measures)
    _refuse(problems)
    for problem in problems:
        warn(str(problem))


def _refuse(problems: Sequence[Problem]) -> None:
    if errors := [problem for problem in problems if problem.is_error]:
        more = f" (and {len(errors) - 1} more); `autodls check` lists every problem" if len(errors) > 1 else ""
        raise DatasetError(f"{errors[0]}{more}")


def _blank(training: Sequence[Case], measures: Sequence[CaseMeasure]) -> Iterator[str]:
    for case, measure in zip(training, measures, strict=True):
        for name, seen in measure.sequences.items():
            if seen.is_blank:
                yield f"case {case.id}: {name} has no signal where the tumour lies; it is taken as missing"


def inputs_sha256(cases: Sequence[Case], workers: int = 1, advance: Advance = no_advance) -> str:
    """`Fingerprint.inputs_sha256` anew: of every image and ROI file of `cases`, in the order of their ids."""
    ordered = sorted(cases, key=lambda case: case.id)
    return _join_hashes(map_parallel(case_inputs_sha256, ordered, [case.id for case in ordered], workers, advance))


def quantiles(values: Sequence[float]) -> Quantiles:
    """Spread of a quantity over cases.

    >>> quantiles([1, 2, 3, 4, 5]).p95
    4.8
    """
    low, p5, median, p95, high = np.percentile(np.asarray(values, dtype=np.float64), [0, 5, 50, 95, 100]).tolist()
    return Quantiles(minimum=low, p5=p5, median=median, p95=p95, maximum=high)


def _join_hashes(hashes: Iterable[str]) -> str:
    return sha256_of_bytes("\n".join(hashes).encode())


def _sites(training: Sequence[Case], cohort: Cohort) -> dict[str, int]:
    if cohort.description.autodls.site is None:
        return {}
    return dict(sorted(Counter(case.site or UNKNOWN_SITE for case in training).items()))


def _sequence(name: str, measures: Sequence[CaseMeasure]) -> SequenceFingerprint:
    seen = [measure.sequences[name] for measure in measures if name in measure.sequences]
    return SequenceFingerprint(
        cases=len(seen),
        share_missing=1.0 - len(seen) / len(measures),
        spacing_mm=_per_axis([measure.spacing_mm for measure in seen]),
        shape=_per_axis([measure.shape for measure in seen]),
        obliqueness_deg=quantiles([measure.obliqueness_deg for measure in seen]) if seen else None,
        foreground_percentiles=_per_percentile([measure.foreground_percentiles for measure in seen]),
        field_of_view_mm=_per_axis([measure.field_of_view_mm for measure in seen]),
        contrast=_per_name([measure.contrast for measure in seen]),
        roi_percentiles=_per_percentile([m.roi_percentiles for m in seen if m.roi_percentiles is not None]),
        same_grid_as_roi=_mean([measure.same_grid_as_roi for measure in seen]),
        roi_clipped=_per_name([measure.clipped for measure in seen]),
        overlap_with_roi=min((measure.overlap_with_roi for measure in seen), default=0.0),
    )


def _per_name(cases: Sequence[Mapping[str, float]]) -> dict[str, Quantiles] | None:
    names = list(dict.fromkeys(name for case in cases for name in case))
    return {name: quantiles([case[name] for case in cases if name in case]) for name in names} or None


def _mean(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _per_axis(triples: Sequence[tuple[float, float, float]]) -> tuple[Quantiles, Quantiles, Quantiles] | None:
    if not triples:
        return None
    x, y, z = zip(*triples, strict=True)
    return quantiles(x), quantiles(y), quantiles(z)


def _per_percentile(cases: Sequence[tuple[float, ...]]) -> dict[str, Quantiles] | None:
    if not cases:
        return None
    return {
        f"{percent:g}": quantiles(values) for percent, values in zip(PERCENTILES, zip(*cases, strict=True), strict=True)
    }
