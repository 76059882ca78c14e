"""A locked model in a program: load it once, score folders of new cases."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from autodls.inference.model_files import CheckedFolder, check_model_folder
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    import torch

    from autodls.inference.inputs import InputCase
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.prediction import Prediction
    from autodls.inference.rois import RoiSource
    from autodls.records.model import ModelRecord
    from autodls.records.plan import Plan

PathLike = str | os.PathLike[str]


def load_model(folder: PathLike, device: str = "auto") -> "Model":
    """Verify and load a model folder, as `autodls train` writes it.

    Parameters
    ----------
    folder : the model folder (WORKSPACE/model, or a copy of it)
    device : "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N"

    Returns
    -------
    Model
        Ready to score. On a CPU weights are read, and verified, as they are used, so that memory holds few of them.

    Raises
    ------
    ModelFolderError
        A file that is missing, altered since the model was locked, or not of the model.
    ArgumentError
        A device that is not there.
    """
    root = Path(folder)
    checked = check_model_folder(root)  # before torch is imported
    from autodls.inference.model_folder import load_model as load
    from autodls.models.device import resolve_device

    place = resolve_device(device)
    return Model(root, checked, load(root, place, streamed=True, checked=checked), place)


@dataclass(frozen=True, repr=False)
class Model:
    """A verified model; `load_model` makes it. For research: it is no medical device."""

    folder: Path
    _checked: CheckedFolder
    _locked: "LockedModel"
    _device: "torch.device"

    @property
    def record(self) -> "ModelRecord":
        """What model.json says: target, channels, cut-offs, recalibration, hashes."""
        return self._checked.record

    @property
    def plan(self) -> "Plan":
        """The plan that the model was trained by, with reasons."""
        return self._checked.plan

    @property
    def caveats(self) -> tuple[str, ...]:
        """What whoever uses the scores must know, such as an AUC that is not shown to be better than a guess."""
        return tuple(self.record.cautions)

    @property
    def cautions(self) -> tuple[str, ...]:
        """The name that `caveats` had."""
        return self.caveats

    def predict(
        self, images: PathLike, rois: PathLike | None = None, *, workers: int = 1, watch: Watch = SILENT
    ) -> "Prediction":
        """Score the cases of a folder; the scores are those of `autodls predict`. Nothing is written.

        Parameters
        ----------
        images : folder of CASE_0000.nii.gz, CASE_0001.nii.gz ..., a file a channel of the model; a missing file is a
            missing sequence
        rois : folder of CASE.nii.gz on the grid of the model's ROI channel; None where the model draws them itself
        workers : processes that read images; scores do not depend on it
        watch : is told of progress and of files that are not used

        Returns
        -------
        Prediction
            `cases`: for each that was scored `dls` (calibrated probability of the positive class, 0..1), `call` ("high"
            at or above `cutoff`), `spread` over the folds, a score a sequence, `flags`. `failed`: the others, each with
            its reason. `to_frame()`: both as a pandas table, a row a case.

        Raises
        ------
        DatasetError
            A folder that is missing or holds no image of the model; a single case that cannot be read is in `failed`.
        ArgumentError
            No ROIs, and a model that cannot draw any.
        """
        from autodls.inference.copies import with_copies_flagged
        from autodls.inference.inputs import files_of_nobody, list_inputs
        from autodls.inference.predict import predict_cases

        cases = list_inputs(Path(images), Path(rois) if rois is not None else None, self.record)
        for name, why in ((name, why) for case in cases for name, why in case.unused.items()):
            watch.note(f"not used: {name}: {why}")
        for name in files_of_nobody(Path(images), cases):
            watch.note(f"not used: {name}: no image that a case lacks")
        with TemporaryDirectory(prefix="autodls-") as masks, watch.progress("scoring", len(cases)) as advance:
            source = self._rois(cases, Path(masks), drawn=rois is None)
            return with_copies_flagged(predict_cases(self._locked, cases, source, advance, workers))

    def _rois(self, cases: "list[InputCase]", masks: Path, *, drawn: bool) -> "RoiSource":
        from autodls.inference.rois import RoiSource, automatic_rois

        if not drawn:
            return RoiSource(self.record)
        places = {case.id: masks / f"{case.id}{self.record.file_ending}" for case in cases}
        return automatic_rois(self._locked, self.folder, self._device, places.__getitem__)

    def __repr__(self) -> str:
        record = self.record
        return (
            f"<Model of {record.target.name}: {', '.join(self.plan.sequences)}; {record.folds} folds, high at or above "
            f"{record.cutoff:.3f}; {self.folder}>"
        )
