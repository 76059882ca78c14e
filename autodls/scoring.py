"""A locked model in a program: load it once, score folders of new cases."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError
from autodls.records.locked_candidate import NETWORKS
from autodls.stages.predict import OpenModel, open_model, predict
from autodls.stages.predict_candidate import candidate_record, is_candidate, require_own_networks
from autodls.verify.signature import require_same_record, require_signed
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.inference.prediction import Prediction
    from autodls.records.export import Runtime
    from autodls.records.locked_candidate import LockedCandidate
    from autodls.records.model import ModelRecord
    from autodls.records.plan import Plan
    from autodls.records.update import Method
    from autodls.stages.export import Exported
    from autodls.stages.update import Updated
    from autodls.stages.verify import Verified

PathLike = str | os.PathLike[str]


def load_model(folder: PathLike, device: str = "auto", key: PathLike | None = None) -> "Model":
    """Verify and load a model folder, as `autodls train` writes it.

    Parameters
    ----------
    folder : the model folder (WORKSPACE/model, or a copy of it), or that of a locked candidate (WORKSPACE/candidate)
    device : "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N"
    key : PEM file of a public key that it has to be signed with; every file is hashed then

    Returns
    -------
    Model
        Ready to score. On a CPU weights are read, and verified, as they are used, so that memory holds few of them.

    Raises
    ------
    ModelFolderError
        A file that is missing, altered since the model was locked, or not of the model; with `key`, no signature of it.
    ArgumentError
        A device that is not there, a key that is none.
    """
    place = Path(folder)
    signed = None if key is None else require_signed(place, Path(key))
    if not is_candidate(place):
        opened = open_model(place, device)
        require_same_record(place, opened.checked.sha256, signed)
        return Model(place, opened, opened.checked.sha256)
    candidate, sha256 = candidate_record(place, rois=True, heatmaps=False)
    require_same_record(place, sha256, signed)
    networks = None
    if candidate.networks_sha256 is not None:
        require_own_networks(place, candidate)
        networks = open_model(place / NETWORKS, device)
    return Model(place, networks, sha256, candidate)


@dataclass(frozen=True, repr=False)
class Model:
    """A verified model; `load_model` makes it. For research: it is no medical device.

    `folder` is where it lies; `candidate` is what candidate.json says of a locked candidate, None for a model of
    networks alone.
    """

    folder: Path
    _networks: OpenModel | None
    _sha256: str
    candidate: "LockedCandidate | None" = None

    @property
    def _open(self) -> OpenModel:
        if self._networks is None:
            raise ArgumentError(f"{self.folder}: a locked candidate without networks; see `candidate` for its record")
        return self._networks

    @property
    def record(self) -> "ModelRecord":
        """What model.json says: target, channels, cut-offs, recalibration, hashes; of a candidate, of its networks."""
        return self._open.checked.record

    @property
    def plan(self) -> "Plan":
        """The plan that the networks were trained by, with reasons."""
        return self._open.checked.plan

    @property
    def caveats(self) -> tuple[str, ...]:
        """What whoever uses the scores must know, such as an AUC that is not shown to be better than a guess."""
        return () if self._networks is None else tuple(self.record.cautions)

    @property
    def cautions(self) -> tuple[str, ...]:
        """The name that `caveats` had."""
        return self.caveats

    def predict(
        self,
        images: PathLike,
        rois: PathLike | None = None,
        output: PathLike | None = None,
        *,
        clinical: PathLike | None = None,
        heatmaps: bool = False,
        overwrite: bool = False,
        workers: int = 1,
        watch: Watch = SILENT,
    ) -> "Prediction":
        """Score the cases of a folder, as `autodls predict`; without `output` nothing is written.

        Parameters
        ----------
        images : folder of CASE_0000.nii.gz, CASE_0001.nii.gz ..., a file a channel of the model; a missing file is a
            missing sequence
        rois : folder of CASE.nii.gz on the grid of the model's ROI channel; None where the model draws them itself
        output : folder for scores.csv, predict.json, rois/ and heatmaps/, new or empty
        clinical : table with a column "case" and the clinical columns of a locked candidate that needs some
        heatmaps : write heat maps as well
        overwrite : replace the results of an earlier run in `output`
        workers : processes that read images; scores do not depend on it
        watch : is told of progress, of cautions, of files that are not used and of cases that are not scored

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
            No ROIs, and a model that cannot draw any; results that cannot, or must not, lie in `output`.
        """
        return predict(
            Path(images),
            None if output is None else Path(output),
            model=self.folder if self.candidate is not None else self._open,
            rois=None if rois is None else Path(rois),
            clinical=None if clinical is None else Path(clinical),
            networks=self._networks,
            verified=self._sha256,
            heatmaps=heatmaps,
            overwrite=overwrite,
            workers=workers,
            watch=watch,
        )

    def verify(self, key: PathLike | None = None) -> "Verified":
        """Check every hash of the model folder anew, as `autodls verify`: `faults` say what no longer fits.

        With the PEM file of a public `key` also that it is signed with that.
        """
        from autodls.stages.verify import verify

        return verify(self.folder, key=None if key is None else Path(key))

    def update(
        self,
        dataset: PathLike,
        output: PathLike | None = None,
        *,
        method: "Method | None" = None,
        workers: int = 1,
        watch: Watch = SILENT,
    ) -> "Updated":
        """Fit this model's probability and cut-off to the training cohort of another site, as `autodls update`.

        The updated model goes into the new folder `output`, where one is given and an update is needed; this one stays
        as it is. Raises DatasetError where the dataset asks another question, or is too small.
        """
        from autodls.stages.update import update

        if self.candidate is not None:
            raise ArgumentError(f"{self.folder}: a locked candidate is not updated; update a model of networks")
        target, device = None if output is None else Path(output), str(self._open.device)
        return update(
            Path(dataset),
            target,
            model=self.folder,
            method=method,
            device=device,
            workers=workers,
            watch=watch,
            verified=self._sha256,
        )

    def export(
        self,
        output: PathLike,
        to: "Runtime" = "onnx",
        *,
        images: PathLike | None = None,
        rois: PathLike | None = None,
        workers: int = 1,
        watch: Watch = SILENT,
    ) -> "Exported":
        """Write this model into the new folder `output` for onnxruntime ("onnx") or as a MONAI bundle ("monai").

        As `autodls export`: what is written is run, also on the cases of `images` with `rois` where they are given, and
        `record.shown` says how far its scores are from ours. Raises AutoDLSError where that is too far; nothing is
        written then.
        """
        from autodls.stages.export import export

        cases = None if images is None else Path(images)
        drawn = None if rois is None else Path(rois)
        return export(
            Path(output),
            model=self.folder,
            to=to,
            images=cases,
            rois=drawn,
            workers=workers,
            watch=watch,
            verified=self._sha256,
        )

    def __repr__(self) -> str:
        if self.candidate is not None:
            one = self.candidate
            return (
                f"<Candidate '{one.candidate}' of {one.target.name}; high at or above {one.cutoff:.3f}; {self.folder}>"
            )
        record = self.record
        return (
            f"<Model of {record.target.name}: {', '.join(self.plan.sequences)}; {record.folds} folds, high at or above "
            f"{record.cutoff:.3f}; {self.folder}>"
        )
