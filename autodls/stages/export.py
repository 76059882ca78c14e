"""`export`: a locked model for another runtime, shown to give the same scores before anything is published."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

import numpy as np

from autodls import __version__
from autodls.errors import ArgumentError, DatasetError
from autodls.inference.model_files import CheckedFolder, check_model_folder
from autodls.records.export import EXPORT, ExportRecord, GraphRecord, Runtime, ShownEqual
from autodls.records.files import sha256_of_file, write_text
from autodls.records.lock import locked_output
from autodls.records.model_folders import PROVENANCE
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.stages.places import require_output
from autodls.stages.predict_candidate import is_candidate
from autodls.stages.provenance import files_below, note_output
from autodls.verify.signature import require_same_record
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.exporting.equality import Scores
    from autodls.exporting.golden import Rows
    from autodls.inference.inputs import InputCase
    from autodls.inference.model_folder import LockedModel


@dataclass(frozen=True)
class Exported:
    """What was written into `folder`."""

    record: ExportRecord
    folder: Path


def export(
    output: Path,
    *,
    model: Path,
    to: Runtime = "onnx",
    images: Path | None = None,
    rois: Path | None = None,
    workers: int = 1,
    watch: Watch = SILENT,
    verified: str | None = None,
) -> Exported:
    """Write the locked model in folder `model` into the new folder `output`, for onnxruntime or `monai.bundle`.

    What is written is run there, on made-up cases with every pattern of missing sequences, and on the cases of `images`
    with their `rois` where these are given, and has to give the scores of AutoDLS: log-odds within 1e-4, the same calls
    where the cut-off is farther than that. Golden inputs that are kept are the made-up ones alone. A model that was
    loaded before has to be the one that was `verified` then, by the SHA-256 of its record.

    Raises AutoDLSError where scores differ; ArgumentError where results cannot lie, for a locked candidate, where a
    package of the extra is missing, and for a model too large for the form; DatasetError where a case given cannot be
    prepared; ModelFolderError where the model is not whole. Nothing is written then.
    """
    if is_candidate(model):
        raise ArgumentError(
            f"{model}: a locked candidate has no networks to export; its candidate.json holds all of its numbers"
        )
    if (images is None) != (rois is None):
        raise ArgumentError("cases to compare on take images and ROIs: give both -i and --rois, or neither")
    if to == "onnx":
        from autodls.exporting.onnx_files import require_onnx

        require_onnx()
    checked = check_model_folder(model)
    require_same_record(model, checked.sha256, verified)
    if (output / EXPORT).is_file():
        raise ArgumentError(f"-o {output}: holds an export already, which is never replaced; give a new folder")
    require_output(output, read=[place for place in (images, rois, model) if place is not None])
    results = ResultsFolder(output, EXPORT)
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results)
        try:
            return _into(results, _Run(checked, to, images, rois, workers, watch))
        finally:
            rmtree(results.unfinished, ignore_errors=True)  # of what is not equal nothing is left


@dataclass(frozen=True)
class _Run:
    """What is exported, and on what it is compared."""

    checked: CheckedFolder
    to: Runtime
    images: Path | None
    rois: Path | None
    workers: int
    watch: Watch

    def open(self) -> "LockedModel":
        """The model on the CPU; in float32 for ONNX, whatever its plan has."""
        import torch

        from autodls.inference.model_folder import load_model

        checked = self.checked
        if self.to == "onnx":
            training = checked.plan.training.model_copy(update={"precision": "fp32"})
            checked = replace(checked, plan=checked.plan.model_copy(update={"training": training}))
        return load_model(checked.folder.root, torch.device("cpu"), streamed=True, checked=checked)

    def real_rows(self, model: "LockedModel") -> "Rows | None":
        """The cases given, each lesion of them where they are told apart, with every pattern of its sequences."""
        from autodls.exporting.golden import Rows
        from autodls.inference.inputs import list_inputs
        from autodls.inference.prepare import explained_samples
        from autodls.inference.scoring import network_input

        if self.images is None:
            return None
        cases = list_inputs(self.images, self.rois, model.record)
        if fault := next((found for case in cases if (found := _fault(case))), None):
            raise DatasetError(fault)
        labels, plan = model.record.mask_labels, model.plan.preprocessing
        pixels, has = [], []
        with (
            self.watch.progress("reading", len(cases)) as advance,
            closing(explained_samples(cases, labels, plan, self.workers)) as samples,
        ):
            for case, sample in zip(cases, samples, strict=True):
                if isinstance(sample, str):
                    raise DatasetError(sample)
                pixels += [network_input(model, lesion) for lesion in sample.lesions]
                has += [lesion.present for lesion in sample.lesions]
                advance(case.id)
        return Rows.of(np.stack(pixels), np.stack(has))


def _fault(case: "InputCase") -> str | None:
    if case.gap is not None:
        return f"case {case.id}: {case.gap}"
    if not case.images or case.roi is None:
        return f"case {case.id}: {'no ROI' if case.images else 'no image'}; cases to compare on need both"
    return None


def _into(results: ResultsFolder, run: _Run) -> Exported:
    """Write, run, compare; publish what is equal."""
    model, stage = run.open(), results.unfinished
    real = run.real_rows(model)
    stage.mkdir(parents=True, exist_ok=True)
    graphs, shown = (_onnx if run.to == "onnx" else _bundle)(run, model, stage, real)
    record = _record(run, model, graphs, shown)
    _write_readme(stage, model, record)
    files = {path.relative_to(stage).as_posix(): sha256_of_file(path) for path in files_below(stage)}
    record = record.model_copy(update={"files": files})
    record.save(stage / EXPORT)
    made, made_from = files_below(stage), [run.checked.folder.record]
    note_output(run.watch.command, stage, "export", None, made_from, made, shown.computed_in)
    results.publish([*made, stage / PROVENANCE])
    return Exported(record, results.root)


def _onnx(
    run: _Run, model: "LockedModel", stage: Path, real: "Rows | None"
) -> tuple[tuple[GraphRecord, ...], ShownEqual]:
    from autodls.exporting.golden import golden_rows
    from autodls.exporting.onnx_files import runtime_version
    from autodls.exporting.onnx_model import OnnxExport
    from autodls.inference.model_copy import copy_plan

    notes = {"autodls": __version__, "model_sha256": model.sha256, "use": "research; not a medical device"}
    written = OnnxExport(model, stage, notes)
    with run.watch.progress("export", model.record.folds + 1) as advance:
        written.write(advance)
    golden = golden_rows(model.plan)
    shown, expected = _compare(run, model, written.run, golden, real, runtime_version())
    written.save_golden(golden, expected)
    copy_plan(run.checked, stage)
    return written.graphs, shown


def _bundle(
    run: _Run, model: "LockedModel", stage: Path, real: "Rows | None"
) -> tuple[tuple[GraphRecord, ...], ShownEqual]:
    from importlib.metadata import version

    from autodls.exporting.bundle import BundleExport
    from autodls.exporting.golden import golden_rows

    written = BundleExport(model, run.checked, stage)
    written.write()
    runtime = f"the bundle's network, MONAI {version('monai')}"
    shown, _ = _compare(run, model, written.run, golden_rows(model.plan), real, runtime)
    return written.graphs, shown


def _compare(
    run: _Run, model: "LockedModel", compute: "Callable[[Rows], Scores]", golden: "Rows", real: "Rows | None", name: str
) -> "tuple[ShownEqual, Scores]":
    """Compute golden and real rows by both, and what AutoDLS gives for the golden ones; raises where they differ."""
    from autodls.exporting.equality import LOG_ODDS_WITHIN, require_equal, scores_of

    sets = [golden, *([real] if real is not None else [])]
    found, expected = [], []
    with run.watch.progress("comparing", 2 * len(sets)) as advance:
        for rows in sets:
            expected.append(scores_of(model, rows))
            advance("AutoDLS")
            found.append(require_equal(compute(rows), expected[-1], model.record.cutoff, name))
            advance(name)
    return ShownEqual(
        runtime=name,
        computed_in=model.computed_in,
        golden_pictures=len(golden.pictures),
        real_cases=len(real.pictures) if real is not None else 0,
        rows=sum(map(len, sets)),
        log_odds_within=LOG_ODDS_WITHIN,
        log_odds=max(one.log_odds for one in found),
        probability=max(one.probability for one in found),
        calls_in_band=sum(one.in_band for one in found),
    ), expected[0]


def _record(run: _Run, model: "LockedModel", graphs: tuple[GraphRecord, ...], shown: ShownEqual) -> ExportRecord:
    locked, plan = model.record, model.plan
    return ExportRecord(
        version=__version__,
        to=run.to,
        model_sha256=model.sha256,
        target=locked.target,
        sequences=plan.sequences,
        roi_channel=locked.roi_channel,
        roi_labels=locked.roi_labels,
        rois=locked.rois,
        preprocessing=plan.preprocessing,
        cutoff=locked.cutoff,
        band_log_odds=shown.log_odds_within,
        cautions=model.caveats,
        graphs=graphs,
        shown=shown,
        files={},
    )


def _write_readme(stage: Path, model: "LockedModel", record: ExportRecord) -> None:
    from autodls.exporting.texts import bundle_readme, onnx_readme

    if record.to == "onnx":
        write_text(stage / "README.md", onnx_readme(model, record))
    else:
        write_text(stage / "docs" / "README.md", bundle_readme(model, record))
