"""Write a phantom cohort as a dataset folder."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from autodls.errors import DatasetError
from autodls.imaging.volumes import write_volume
from autodls.parallel import Advance, map_parallel, no_advance
from autodls.phantom.anatomy import Anatomy, draw_anatomy
from autodls.phantom.generative import LOG_CPS_SD, MEDIAN_PFS_LOW_MONTHS, ExpressionModel, Patient, draw_patient
from autodls.phantom.scanner import draw_acquisition, draw_pose, outline, scan
from autodls.phantom.settings import (
    CPS_CUTOFF,
    TRAINING_COHORT,
    CaseTruth,
    PhantomSettings,
    PhantomTruth,
)
from autodls.phantom.tumour import draw_second
from autodls.records.dataset import CohortColumn, DatasetDescription, StudySettings, SurvivalColumns, Target
from autodls.records.files import write_text
from autodls.seeding import generator

__all__ = ["TRUTH_FILE", "PhantomSettings", "PhantomTruth", "write_cohort"]

TRUTH_FILE = "phantom.json"
_CLINICAL = ("age", "sex", "t_stage", "n_stage")
_ENDING = ".nii.gz"


def write_cohort(
    folder: Path, settings: PhantomSettings, advance: Advance = no_advance, workers: int = 1
) -> PhantomTruth:
    """Write the cohort of `settings` into `folder`, in the dataset format, with its truth in phantom.json.

    `advance` is called with the id of each case that is there. Run again with the same settings, it goes on with the
    cases that are missing and touches nothing that is written.

    Raises DatasetError when `folder` holds anything but a phantom cohort of the same settings.
    """
    model = ExpressionModel.of(settings)
    patients = [draw_patient(model, case) for case in settings.case_ids]
    anatomies = [_anatomy(patient, settings) for patient in patients]
    truth = _truth(model, patients, anatomies)
    _claim(folder, truth)
    cases = list(zip(patients, anatomies, strict=True))
    map_parallel(partial(_write_case, folder, settings), cases, settings.case_ids, workers, advance)
    _write_once(folder / "clinical.csv", _table(patients))
    _write_once(folder / "dataset.json", _description(settings).to_bytes().decode())
    return truth


def _claim(folder: Path, truth: PhantomTruth) -> None:
    """Mark `folder` as ours by its truth file, or make sure that it is."""
    mark = folder / TRUTH_FILE
    if mark.exists():
        repair = "name a new folder for the phantom cohort"
        found = PhantomTruth.load(mark, repair, DatasetError)
        if found.settings != truth.settings:
            raise DatasetError(f"{mark}: holds a cohort with other {_differing(found, truth)}; {repair}")
        if found != truth:
            raise DatasetError(f"{mark}: the same settings gave another cohort, by another version; {repair}")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder}: is not an empty folder; name a new one, nothing is overwritten")
    truth.save(mark)


def _differing(found: PhantomTruth, wanted: PhantomTruth) -> str:
    pairs = [
        (name, getattr(found.settings, name), getattr(wanted.settings, name)) for name in PhantomSettings.model_fields
    ]
    return ", ".join(f"{name} ({theirs}, not {ours})" for name, theirs, ours in pairs if theirs != ours)


def _anatomy(patient: Patient, settings: PhantomSettings) -> Anatomy:
    chance = generator(settings.seed, "phantom", patient.id, "anatomy")
    anatomy = draw_anatomy(patient.signs, settings.difficulty, chance)
    if patient.second_signs is None:
        return anatomy
    chance = generator(settings.seed, "phantom", patient.id, "second anatomy")
    return replace(anatomy, second=draw_second(anatomy.tumour, patient.second_signs, settings.difficulty, chance))


def _write_case(folder: Path, settings: PhantomSettings, case: tuple[Patient, Anatomy]) -> None:
    """Images, then the ROI: where the ROI is, the case is complete."""
    patient, anatomy = case
    roi = folder / "labelsTr" / f"{patient.id}{_ENDING}"
    if roi.exists():
        return
    pose = draw_pose(generator(settings.seed, "phantom", patient.id, "pose"))
    for channel, sequence in enumerate(settings.channels):
        chance = generator(settings.seed, "phantom", patient.id, sequence)
        acquisition = draw_acquisition(patient.site, sequence, settings.matrix_factor, settings.difficulty, chance)
        if sequence != patient.missing_sequence:
            path = folder / "imagesTr" / f"{patient.id}_{channel:04d}{_ENDING}"
            write_volume(path, scan(anatomy, pose, acquisition))
        if sequence == settings.roi_channel:
            drawn = outline(anatomy, pose, acquisition.geometry)
    write_volume(roi, drawn)


def _write_once(path: Path, content: str) -> None:
    if not path.exists():
        write_text(path, content)


def _table(patients: Sequence[Patient]) -> str:
    rows = [
        {
            "case": patient.id,
            "patient_id": f"patient_{patient.id}",
            "cohort": patient.cohort,
            "site": patient.site,
            **patient.clinical,
            "cps": patient.cps,
            "pfs_months": patient.pfs_months,
            "pfs_event": int(patient.pfs_event),
        }
        for patient in patients
    ]
    text = io.StringIO()
    columns = ["case", "patient_id", "cohort", "site", *_CLINICAL, "cps", "pfs_months", "pfs_event"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _description(settings: PhantomSettings) -> DatasetDescription:
    return DatasetDescription(
        name="phantom",
        channel_names={str(channel): sequence for channel, sequence in enumerate(settings.channels)},
        labels={"background": 0, "tumour": 1},
        numTraining=len(settings.case_ids),
        file_ending=_ENDING,
        autodls=StudySettings(
            roi_channel=settings.roi_channel,
            patient="patient_id",
            site="site",
            cohort=CohortColumn(column="cohort", training=(TRAINING_COHORT,)),
            target=Target(name="PD-L1 high", column="cps", positive=f">= {CPS_CUTOFF}"),
            survival=SurvivalColumns(time="pfs_months", event="pfs_event", unit="months", landmark=6),
            clinical=_CLINICAL,
            lesions="components" if settings.second_share else None,
        ),
    )


def _truth(model: ExpressionModel, patients: Sequence[Patient], anatomies: Sequence[Anatomy]) -> PhantomTruth:
    return PhantomTruth(
        settings=model.settings,
        ceiling_auc=model.ceiling_auc(),
        images_ceiling_auc=model.ceiling_auc(*model.settings.shown.values()),
        sequence_ceiling_auc={name: model.ceiling_auc(sign) for name, sign in model.settings.shown.items()},
        correlation=model.correlation,
        sign_noise={name: round(noise, 9) for name, noise in model.noises.items()},
        log_cps_mean=round(model.log_cps_mean, 9),
        log_cps_sd=LOG_CPS_SD,
        prevalence=model.settings.prevalence,
        hazard_ratio=model.settings.hazard_ratio,
        median_pfs_low_months=MEDIAN_PFS_LOW_MONTHS,
        cases={
            patient.id: CaseTruth(
                expression=round(patient.expression, 6),
                signs=_rounded(patient.signs),
                diameter_mm=round(2 * anatomy.tumour.radius_mm, 3),
                second_signs=None if patient.second_signs is None else _rounded(patient.second_signs),
                second_diameter_mm=None if anatomy.second is None else round(2 * anatomy.second.radius_mm, 3),
            )
            for patient, anatomy in zip(patients, anatomies, strict=True)
        },
    )


def _rounded(signs: Mapping[str, float]) -> dict[str, float]:
    return {name: round(sign, 6) for name, sign in signs.items()}
