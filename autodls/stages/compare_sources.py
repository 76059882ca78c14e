"""What the candidates without networks learn from: volumes, clinical columns, radiomic features."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autodls.errors import ArgumentError
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.splits import Fold
from autodls.stages.session import Session
from autodls.watch import Watch

if TYPE_CHECKING:
    from autodls.candidates.learners import Learner
    from autodls.candidates.nested import Part

INTEGRATED = "integrated"
SIMPLE = ("volume", "clinical", "radiomics")
_OTHERS = ("deep", INTEGRATED, "chosen", "nested choice")


def is_candidate_name(name: str) -> bool:
    """Whether `name` is one of ours, or would be, or of the choice between them.

    >>> is_candidate_name("integrated_clinical"), is_candidate_name("paper")
    (True, False)
    """
    return name in (*SIMPLE, *_OTHERS) or name.startswith(f"{INTEGRATED}_")


def stacks_of(learners: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The integrated candidates: the networks with all that says more than volume, and with each of it alone.

    >>> stacks_of({"volume": 0, "clinical": 0, "radiomics": 0})["integrated"]
    ('deep', 'clinical', 'radiomics')
    """
    parts = [name for name in learners if name != "volume"] or list(learners)
    pairs = {f"{INTEGRATED}_{name}": ("deep", name) for name in parts} if len(parts) > 1 else {}
    return {**pairs, **({INTEGRATED: ("deep", *parts)} if parts else {})}


def part_of(session: Session, plan: Plan, fold: Fold, cases: Sequence[str]) -> "Part":
    """`cases` of the training cohort with labels and patients, and the stream of chance of `fold`."""
    from autodls.candidates.nested import Part
    from autodls.seeding import stream_seed

    held = {case.id: case for case in session.training}
    return Part(
        tuple(cases),
        np.array([bool(held[case].label) for case in cases], dtype=bool),
        tuple(held[case].patient for case in cases),
        stream_seed(plan.training.seed, "compare", fold.index),
    )


def learners_of(
    session: Session,
    plan: Plan,
    workers: int,
    watch: Watch,
    left_out: dict[str, str],
    wanted: Sequence[str] = SIMPLE,
) -> "tuple[dict[str, Learner], dict[str, str]]":
    """The candidates without networks that are `wanted`, the simplest first, and a hash of what each learns from.

    Adds those that the study does not allow to `left_out`, with the reason.
    """
    from autodls.analysis.tumour_volumes import tumour_volumes
    from autodls.candidates.covariates import covariates_of, volume_covariate

    with watch.progress("tumour volumes", len(session.training)) as advance:
        written = session.workspace.table("tumour_volume")
        volumes = tumour_volumes(session.training, session.roi_labels, written, advance, workers)
    settings = session.cohort.description.autodls
    rows = {case.id: case.row for case in session.training}
    columns = covariates_of(rows, settings.clinical, settings.missing)
    made: dict[str, Callable[[], tuple[Learner, object]]] = {
        "volume": lambda: _of_covariates(volume_covariate(volumes), "no training case has an ROI"),
        "clinical": lambda: _of_covariates(
            {name: values for name, values in columns.items() if values},
            "dataset.json names no column in autodls.clinical that holds a value",
        ),
        "radiomics": lambda: _of_features(session, plan, workers, watch),
    }
    learners: dict[str, Learner] = {}
    sources: dict[str, str] = {}
    for name, make in ((name, make) for name, make in made.items() if name in wanted):
        try:
            learners[name], source = make()
        except ArgumentError as failure:
            left_out[name] = str(failure)
        else:
            sources[name] = sha256_of_bytes(json.dumps(source, sort_keys=True).encode())
    return learners, sources


def _of_covariates(covariates: Mapping[str, Mapping[str, float | str]], lacking: str) -> "tuple[Learner, object]":
    from autodls.candidates.learners import RidgeLearner

    if not any(covariates.values()):
        raise ArgumentError(lacking)
    return RidgeLearner(covariates), covariates


def _of_features(session: Session, plan: Plan, workers: int, watch: Watch) -> "tuple[Learner, object]":
    from autodls.candidates.learners import RadiomicsLearner
    from autodls.candidates.radiomic_cases import radiomics_of
    from autodls.candidates.radiomics import library

    library()
    with watch.progress("radiomic features", len(session.training)) as advance:
        found = radiomics_of(
            session.training, session.roi_labels, plan.preprocessing, session.workspace.radiomics, workers, advance
        )
    for one in found.values():
        for flag in one.flags:
            watch.note(f"case {one.case}: {flag}")
    features = {case: one.features for case, one in found.items()}
    if not any(features.values()):
        raise ArgumentError("no tumour is large enough for a radiomic feature")
    return RadiomicsLearner(features), features
