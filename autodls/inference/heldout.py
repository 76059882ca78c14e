"""Held-out cohorts of a dataset folder, scored by the locked model, once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autodls import __version__
from autodls.inference.heldout_scores import _inputs, _kept, _results
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.predict import predict_cases
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction, score_rows
from autodls.inference.rois import RoiSource
from autodls.inference.score_log import ScoreLog
from autodls.records.case import Case
from autodls.records.model import ModelRecord
from autodls.records.results_folder import renewed
from autodls.records.scores import write_csv
from autodls.records.workspace import finished_rows


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
    computed_in = _computed_in(record) if results else []
    fresh = [InputCase(case.id, case.images, case.roi, gap=case.gap) for case in cases if case.id not in results]
    if fresh:
        networks, rois = load()
        log = ScoreLog(finished_rows(record), networks)
        made = predict_cases(networks, fresh, rois, advance, workers, log)
        computed_in.append(networks.computed_in)
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
        computed_in="; ".join(dict.fromkeys(computed_in)) or None,
    )


def _computed_in(record: Path) -> list[str]:
    """In what the networks computed the scores that are kept; none where an older version does not say."""
    said = Prediction.load(record, "run 'autodls evaluate'").computed_in
    return said.split("; ") if said else []


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
