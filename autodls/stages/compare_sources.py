"""What the candidates without networks learn from: volumes, clinical columns, radiomic features."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.stages.session import Session
from autodls.watch import Watch

if TYPE_CHECKING:
    from autodls.candidates.learners import Learner


def learners_of(
    session: Session, plan: Plan, workers: int, watch: Watch, left_out: dict[str, str]
) -> "tuple[dict[str, Learner], dict[str, str]]":
    """The candidates without networks, the simplest first, and a hash of what each learns from; adds to `left_out`."""
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
    for name, make in made.items():
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
