"""The tables of an imported dataset: dataset.json, clinical.csv, and what was measured, without anything that names.

`acquisition.csv` holds modality, scanner and sequence parameters of each image, `rois.csv` the volume of each ROI by
its voxels and by its contours.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.dicom.cases import StudyCase
from autodls.dicom.choices import Chosen
from autodls.dicom.conversion import Made
from autodls.dicom.roles import plane_of
from autodls.dicom.weighting import is_fat_suppressed
from autodls.errors import ArgumentError, DatasetError
from autodls.records.base import json_bytes, some_of
from autodls.records.case_id import skeleton
from autodls.records.cells import TableRow
from autodls.records.scores import csv_text
from autodls.records.table import read_table

_MAKERS = ("siemens", "ge", "philips", "canon", "toshiba", "hitachi", "fujifilm", "united imaging", "bruker", "esaote")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,39}", re.ASCII)
_OURS = ("case", "patient")
_LEAST_SIGNS = 3


@dataclass(frozen=True)
class LabelSource:
    """Where labels come from: `table` has a row a patient (or case), named in `column` by the old id or the new case.

    `target` and `positive` are those of dataset.json; `keep` names more columns to be taken over.
    """

    table: Path
    column: str
    target: str
    positive: str
    keep: tuple[str, ...] = ()


def label_source(
    table: Path | None, column: str | None, target: str | None, positive: str | None, keep: Sequence[str]
) -> LabelSource | None:
    """The options of labels as one; raises ArgumentError where some are given without the others."""
    given = (column, target, positive)
    if table is None:
        if any(given) or keep:
            raise ArgumentError("--label-id, --target, --positive and --keep say how --labels TABLE is read; give it")
        return None
    if column is None or target is None or positive is None:
        raise ArgumentError(
            "--labels needs --label-id (the column of patient ids), --target (the column of the outcome) and "
            "--positive (a rule such as '>= 20', or names of classes with commas between)"
        )
    return LabelSource(table, column, target, positive, tuple(keep))


def description_bytes(name: str, chosen: Chosen, labels: LabelSource | None) -> bytes:
    """dataset.json; without labels its target is the column `label` of a table that a person has yet to fill in."""
    column, positive = (labels.target, labels.positive) if labels else ("label", "== 1")
    rule: object = positive if re.match(r"\s*[<>=!]", positive) else [part.strip() for part in positive.split(",")]
    content = {
        "name": name,
        "channel_names": {str(at): channel for at, channel in enumerate(chosen.channels)},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": len(chosen.cases),
        "file_ending": ".nii.gz",
        "autodls": {
            "roi_channel": chosen.roi_channel,
            "patient": "patient",
            "target": {"name": column, "column": column, "positive": rule},
            "clinical": [],
        },
    }
    return json_bytes(content)


def clinical_text(chosen: Chosen, patients: Mapping[str, StudyCase], labels: LabelSource | None) -> str:
    """clinical.csv: a row a case with its new patient number; `patients` holds a study of each case.

    Raises DatasetError where a case has no row in the table of labels, or where a column that is kept names somebody.
    """
    if labels is None:
        return csv_text((*_OURS, "label"), [(case, patients[case].patient, "") for case in chosen.cases])
    rows = _rows_of(labels)
    columns = tuple(dict.fromkeys((labels.target, *labels.keep)))
    lines, absent = [], []
    for case in chosen.cases:
        study = patients[case]
        row = rows.get(skeleton(study.person.patient_id)) if study.person.patient_id else None
        row = rows.get(skeleton(case)) or row
        if row is None:
            absent.append(case)
            continue
        lines.append((case, study.patient, *(row[column] for column in columns)))
    if absent:
        raise DatasetError(
            f"{labels.table}: no row for {len(absent)} of {len(chosen.cases)} cases ({some_of(absent, 3)}) in column "
            f"'{labels.column}'; ids.csv says which patients they are"
        )
    _require_nameless(labels, columns, lines, patients)
    return csv_text((*_OURS, *columns), lines)


def _rows_of(labels: LabelSource) -> dict[str, TableRow]:
    table = read_table(labels.table)
    columns = (labels.column, labels.target, *labels.keep)
    if not table:
        raise DatasetError(f"{labels.table}: the table has no rows; it needs one for each patient")
    if missing := [column for column in columns if column not in table[0]]:
        raise DatasetError(
            f"{labels.table}: no column '{missing[0]}'; its columns are {some_of(table[0], 30)}; correct the option"
        )
    if ours := set(columns[1:]) & set(_OURS):
        raise ArgumentError(f"column '{min(ours)}' is one of the import's own; rename it in {labels.table}")
    rows: dict[str, TableRow] = {}
    for row in table:
        key = skeleton(row[labels.column])
        if key in rows:
            raise DatasetError(
                f"{labels.table}: rows {rows[key].number} and {row.number} have the same '{labels.column}'; keep one"
            )
        if key:
            rows[key] = row
    return rows


def _require_nameless(
    labels: LabelSource, columns: Sequence[str], lines: Sequence[Sequence[str]], patients: Mapping[str, StudyCase]
) -> None:
    people = [study.person for study in patients.values()]
    known = {skeleton(word) for one in people for word in (one.patient_id, one.name, one.birth_date) if word}
    for line in lines:
        for column, cell in zip(columns, line[len(_OURS) :], strict=True):
            if len(cell) >= _LEAST_SIGNS and skeleton(cell) in known:
                raise DatasetError(
                    f"{labels.table}: column '{column}' holds id, name or birth date of a patient (case {line[0]}); "
                    "leave it out"
                )


def acquisition_text(chosen: Chosen) -> str:
    """acquisition.csv: what was measured of each image, numbers and the scanner."""
    header = (
        "case", "channel", "modality", "manufacturer", "model", "field_tesla", "plane", "planes", "spacing_mm", "tr_ms",
        "te_ms", "ti_ms", "flip_deg", "echo_train", "fat_suppressed", "loss",
    )  # fmt: skip
    lines = []
    for (case, channel), (_, part) in sorted(chosen.images.items()):
        facts, grid = part.facts, part.stack.geometry
        spacing = " ".join(f"{step:.5g}" for step in grid.spacing_mm) if grid else ""
        suppressed = ("yes" if is_fat_suppressed(facts) else "no") if facts.modality == "MR" else ""
        model = facts.model if _is_model(facts.model, part.person.patient_id, part.person.name) else ""
        lines.append(
            (
                case,
                channel,
                facts.modality,
                _maker(facts.manufacturer),
                model,
                facts.field_tesla,
                plane_of(grid) if grid else "",
                len(part.stack.frames),
                spacing,
                facts.tr_ms,
                facts.te_ms,
                facts.ti_ms,
                facts.flip_deg,
                facts.echo_train,
                suppressed,
                part.loss,
            )
        )
    return csv_text(header, lines)


def _maker(text: str) -> str:
    """One of the known makers: whatever else stands there may be anything.

    >>> _maker("GE MEDICAL SYSTEMS"), _maker("General Hospital")
    ('ge', 'other')
    """
    words = text.lower()
    return next((maker for maker in _MAKERS if re.match(rf"{maker}\b", words)), "other") if words else ""


def _is_model(model: str, *names: str) -> bool:
    words = [word.lower() for name in names for word in re.split(r"[\^= ,]+", name) if len(word) >= _LEAST_SIGNS]
    return _MODEL.fullmatch(model) is not None and not any(word in model.lower() for word in words)


def rois_text(made: Sequence[tuple[str, str, Made]]) -> str:
    """rois.csv: case, channel and the volumes of each ROI."""
    lines = [
        (case, channel, one.voxels, round(one.volume_mm3 / 1000, 4), round(one.drawn_mm3 / 1000, 4))
        for case, channel, one in made
    ]
    return csv_text(("case", "channel", "voxels", "volume_ml", "drawn_ml"), sorted(lines))
