"""Scores of held-out cases that are on disk already, and whether they still hold."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from autodls import __version__
from autodls.errors import InputError
from autodls.inference.model_caveats import caveats_of
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction
from autodls.records.case import Case
from autodls.records.files import sha256_where_readable
from autodls.records.model import ModelRecord
from autodls.records.workspace import finished_rows

Result = CaseScore | CaseFailure


def scores_kept(model: ModelRecord, cases: Sequence[Case], record: Path, workers: int = 1) -> dict[str, Result]:
    """What `score_held_out` would keep of the scores in `record`, by case; nothing is written."""
    return _kept(model, cases, record, _inputs(cases, workers))


def forget_others(folder: Path, records: Collection[Path]) -> None:
    """Remove from `folder` the scores of cohorts that the dataset no longer has: those with no record in `records`."""
    for record in sorted(set(folder.glob("*.json")) - set(records)):
        with suppress(InputError):
            Prediction.load(record, "")
            for path in (finished_rows(record), record.with_suffix(".csv"), record):
                path.unlink(missing_ok=True)


def known_scores(model: ModelRecord, record: Path) -> dict[str, tuple[Result, dict[str, str]]]:
    """Result and input hashes by case that an earlier run wrote by this model and version; none for a bad file.

    Left out are scores without what is to be said of the model now: other pictures may have been cut for them.
    """
    try:
        earlier = Prediction.load(record, "run 'autodls evaluate'")
    except InputError:
        return {}
    if (earlier.model_sha256, earlier.version) != (model.sha256(), __version__):
        return {}
    said = set(caveats_of(model))
    kept = (one for one in _results(earlier) if isinstance(one, CaseFailure) or said <= set(one.flags))
    return {result.case: (result, earlier.inputs.get(result.case, {})) for result in kept}


def _inputs(cases: Sequence[Case], workers: int) -> dict[str, dict[str, str]]:
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip([case.id for case in cases], pool.map(_hashes, cases), strict=True))


def _kept(
    model: ModelRecord, cases: Sequence[Case], record: Path, inputs: Mapping[str, Mapping[str, str]]
) -> dict[str, Result]:
    earlier, gaps = known_scores(model, record), {case.id: case.gap for case in cases}
    return {
        case: earlier[case][0]
        for case, found in inputs.items()
        if case in earlier and earlier[case][1] == found and gaps[case] is None
    }


def _results(prediction: Prediction) -> list[Result]:
    return [*prediction.cases, *prediction.failed]


def _hashes(case: Case) -> dict[str, str]:
    """SHA-256 of the files of a case; one that cannot be read has none, and scoring says why."""
    files = {**case.images, **({"roi": case.roi} if case.roi else {})}
    return {name: sha256_where_readable(path) for name, path in files.items()}
