"""Held-out cohorts of a dataset folder, scored by the locked model, once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from autodls import __version__
from autodls.errors import InputError
from autodls.inference.cautions import cautions_of
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.predict import predict_cases
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction, score_rows
from autodls.inference.rois import RoiSource
from autodls.inference.score_log import ScoreLog
from autodls.records.cohort import Case
from autodls.records.files import sha256_where_readable
from autodls.records.model import ModelRecord
from autodls.records.results_folder import renewed
from autodls.records.scores import write_csv
from autodls.records.workspace import finished_rows

Result = CaseScore | CaseFailure


def score_held_out(
    model: ModelRecord,
    load: Callable[[], tuple[LockedModel, RoiSource]],
    cases: Sequence[Case],
    record: Path,
    advance: Callable[[str], None],
    workers: int = 1,
) -> Prediction:
    """Scores of `cases` by `model`, whose networks `load` reads, with the source of ROIs, where they are needed.

    What stands in `record`, made by this model and version from the same bytes, is kept, so that a second run reads no
    network; so are the rows beside it that a killed run had finished. `workers` processes read images. Labels are not
    looked at: they join the scores afterwards.
    """
    inputs = _inputs(cases, workers)
    results = _kept(model, cases, record, inputs)
    for case in results:
        advance(case)
    fresh = [InputCase(case.id, case.images, case.roi, gap=case.gap) for case in cases if case.id not in results]
    if fresh:
        networks, rois = load()
        log = ScoreLog(finished_rows(record), networks)
        made = predict_cases(networks, fresh, rois, advance, workers, log)
        results |= {result.case: result for result in _results(made)}
        inputs |= {case: found for case, found in made.inputs.items() if found}  # as they were when they were read
    in_order = [results[case.id] for case in cases]
    return Prediction(
        version=__version__,
        model_sha256=model.sha256(),
        target=model.target.name,
        cases=tuple(result for result in in_order if isinstance(result, CaseScore)),
        failed=tuple(result for result in in_order if isinstance(result, CaseFailure)),
        inputs=inputs,
    )


def scores_kept(model: ModelRecord, cases: Sequence[Case], record: Path, workers: int = 1) -> dict[str, Result]:
    """What `score_held_out` would keep of the scores in `record`, by case; nothing is written."""
    return _kept(model, cases, record, _inputs(cases, workers))


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


def write_held_out(
    table: Path,
    record: Path,
    prediction: Prediction,
    sequences: Sequence[str],
    labels: Mapping[str, bool | None] | None = None,
) -> None:
    """Write the scores as a table, and with the hashes that they were made from as `record`: its rows are finished.

    Every case is a row, one that could not be scored with its reason; the last column has its label, where `labels` are
    given. The record knows no label.
    """
    header = ["case", "dls", "dls_raw", "spread", *sequences, "rois", "flags", "failed"]
    rows = score_rows(prediction, header)
    if labels is not None:
        known = [labels.get(result.case) for result in prediction.results]
        rows = [[*row, None if label is None else int(label)] for row, label in zip(rows, known, strict=True)]
        header = [*header, "label"]
    with renewed(record.parent, record.name, [record, table]) as stage:
        write_csv(stage / table.name, header, rows)
        prediction.save(stage / record.name)
    finished_rows(record).unlink(missing_ok=True)


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
    said = set(cautions_of(model))
    kept = (one for one in _results(earlier) if isinstance(one, CaseFailure) or said <= set(one.flags))
    return {result.case: (result, earlier.inputs.get(result.case, {})) for result in kept}


def _results(prediction: Prediction) -> list[Result]:
    return [*prediction.cases, *prediction.failed]


def _hashes(case: Case) -> dict[str, str]:
    """SHA-256 of the files of a case; one that cannot be read has none, and scoring says why."""
    files = {**case.images, **({"roi": case.roi} if case.roi else {})}
    return {name: sha256_where_readable(path) for name, path in files.items()}
