"""Fingerprints and cases for the tests of planning, made without any image."""

from autodls.planning.decision import Decision, Resources, Situation
from autodls.planning.planner import derive_plan
from autodls.planning.presets import Preset
from autodls.planning.rules import RULES
from autodls.records.case import Case
from autodls.records.fingerprint import Fingerprint, Quantiles, SequenceFingerprint, TumourFingerprint
from autodls.records.plan import Plan

CPU = Resources(16.0, "cpu", bf16=False, cores=2)
GPU = Resources(16.0, "cuda", bf16=True, cores=8)
AUTO = Preset(name="auto", given={})


def spread(value: float) -> Quantiles:
    """The same value in every case."""
    return Quantiles(minimum=value, p5=value, median=value, p95=value, maximum=value)


def sequence(
    spacing_mm: tuple[float, float, float] = (0.9, 0.9, 4.0),
    same_grid: float = 1.0,
    overlap: float = 1.0,
    missing: float = 0.0,
    roi_median: float = 100.0,
    cases: int = 100,
) -> SequenceFingerprint:
    """A sequence as the fingerprint sees it."""
    x, y, z = (spread(side) for side in spacing_mm)
    return SequenceFingerprint(
        cases=cases,
        share_missing=missing,
        spacing_mm=(x, y, z),
        shape=(spread(256), spread(256), spread(30)),
        obliqueness_deg=spread(0.0),
        foreground_percentiles=None,
        roi_percentiles={"50": spread(roi_median)},
        same_grid_as_roi=same_grid,
        overlap_with_roi=overlap,
    )


def blank_fingerprint(*sequences: str) -> Fingerprint:
    """Of a cohort of which so few cases had these sequences that no image can be unlike them."""
    seen = fingerprint(cases=20, positives=8, **{name: sequence(cases=0) for name in sequences})
    return seen.model_copy(update={"roi_labels": (1,)})


def fingerprint(
    cases: int = 100,
    positives: int = 40,
    extent_mm: float = 60.0,
    sagittal_mm: float = 20.0,
    **sequences: SequenceFingerprint,
) -> Fingerprint:
    """A cohort whose tumours extend most in the axial plane; its ROI was drawn on the first sequence."""
    named = sequences or {"CE": sequence(cases=cases), "T2": sequence(cases=cases)}
    return Fingerprint(
        dataset="made-up",
        roi_channel=next(iter(named)),
        cases=cases,
        patients=cases,
        positives=positives,
        sites={},
        cohort_sha256="c" * 64,
        inputs_sha256="i" * 64,
        sequences=named,
        tumour=TumourFingerprint(
            extent_mm={"axial": spread(extent_mm), "coronal": spread(extent_mm / 2), "sagittal": spread(sagittal_mm)},
            volume_ml=spread(30.0),
            components=spread(1.0),
        ),
    )


def plan(seen: Fingerprint, resources: Resources = CPU, **given: object) -> Plan:
    """The plan with the given fields; "__" in a keyword stands for the dot of the field's name."""
    values = {name.replace("__", "."): value for name, value in given.items()}
    return derive_plan(seen, Preset.model_validate({"name": "mine", "given": values}), resources)


def decide(name: str, seen: Fingerprint, resources: Resources = CPU, **given: object) -> Decision:
    """What the rule of `name` decides after all rules before it."""
    decided = {key.replace("__", "."): Decision(value, "given") for key, value in given.items()}
    situation = Situation(seen, resources, decided)
    for field, rule in RULES.items():
        if field == name:
            break
        if field not in decided:
            decided[field] = rule(situation)
    return RULES[name](situation)


def make_case(case: str, label: bool, patient: str | None = None, site: str | None = None) -> Case:
    """A labelled training case without files."""
    return Case(case, patient or case, site, "train", label, {}, None)
