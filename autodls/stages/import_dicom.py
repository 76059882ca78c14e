"""`import`: DICOM studies to a dataset folder, in two steps, so that no guess is silent.

The first writes series.csv: what there is, what each series was taken for, and what is doubtful. A person may edit it.
The second converts by that table alone. It and ids.csv, which ties the new case ids to patients, lie in a confidential
folder beside the dataset, never in it.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.reading import require_pydicom
from autodls.errors import ArgumentError
from autodls.records.files import write_text
from autodls.records.lock import locked_output
from autodls.records.table import read_table
from autodls.stages.dicom_places import README, Imported, ImportPlaces
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.dicom.dataset_files import LabelSource
    from autodls.dicom.listing import Listed
    from autodls.dicom.series import Found


def import_dicom(
    dicom: Path,
    dataset: Path,
    *,
    confidential: Path | None = None,
    roi_names: Sequence[str] = (),
    labels: "LabelSource | None" = None,
    restart: bool = False,
    workers: int = 1,
    watch: Watch = SILENT,
) -> Imported:
    """Write series.csv of the folder `dicom` where there is none, else convert by it into the folder `dataset`.

    `confidential` is where series.csv and ids.csv lie, DATASET-confidential unless given. ROIs whose names fit one of
    `roi_names` (`GTV*`) are proposed as the tumour. `labels` fills clinical.csv; without it the dataset waits for
    labels. With `restart` series.csv is made anew, and the old one kept beside it. Headers are read, and files
    written, by `workers` processes. Stopped anywhere, the same call goes on; what is done is not done again.

    Raises ArgumentError where a place cannot be, DatasetError where the table, a volume or an ROI is not as it must be:
    then no dataset.json is written.
    """
    require_pydicom()
    from autodls.dicom.cases import read_known
    from autodls.dicom.conversion import read_log
    from autodls.dicom.listing import list_rows
    from autodls.dicom.series import find_series
    from autodls.dicom.sources import opened_sources

    places = ImportPlaces.of(dicom, dataset, confidential)
    places.require_free()
    places.require_own_dataset(read_log(places.log)[1])
    with locked_output(places.confidential):
        if restart:
            places.put_table_aside()
        exists = places.table.exists()
        if not exists and labels is not None:
            watch.note("labels are read when the series are converted: by the same command, once more")
        with opened_sources(dicom, places.unpacked) as sources:
            with watch.progress("reading headers", -(-len(sources.files) // 64)) as advance:
                found = find_series(sources, workers, advance)
            _require_something(dicom, found)
            listed = list_rows(found, read_known(places.ids), roi_names)
            if not exists:
                return _write_table(places, found, listed, sources.files)
            from autodls.stages.dicom_conversion import convert_all

            return convert_all(places, listed, labels, _counts(places, found, listed), workers, watch)


def _require_something(dicom: Path, found: "Found") -> None:
    if not found.parts:
        why = sorted(set(found.unused.values()))
        more = f": {'; '.join(why[:3])}" if why else ""
        raise ArgumentError(f"{dicom}: no DICOM image in {found.files} files{more}; name the folder with the studies")


def _write_table(places: ImportPlaces, found: "Found", listed: "Listed", files: dict[str, Path]) -> Imported:
    from autodls.dicom.cases import ids_text
    from autodls.dicom.table import table_text
    from autodls.records.scores import csv_text

    name_of = {path: name for name, path in files.items()}
    unused = {**found.unused, **{name_of[path]: why for path, why in listed.faults.items()}}
    with contextlib.suppress(OSError):  # a folder of somebody else, which we may write
        places.confidential.chmod(0o700)
    write_text(places.readme, README)
    write_text(places.unused, csv_text(("file", "why"), sorted(unused.items())))
    write_text(places.ids, ids_text(listed.studies.values()))
    write_text(places.table, table_text(listed.rows))
    return _counts(places, found, listed)


def _counts(places: ImportPlaces, found: "Found", listed: "Listed") -> Imported:
    cells = [row.cells for row in listed.rows]
    return Imported(
        step="listed",
        dataset=places.dataset,
        table=places.table,
        series=sum(one["kind"] == "image" for one in cells),
        rois=sum(one["kind"] != "image" for one in cells),
        proposed=sum(bool(one["role"]) for one in cells),
        ambiguous=sum(bool(one["ambiguous"]) for one in cells),
        refused=sum(one["convertible"] != "yes" for one in cells),
        unused=len(found.unused) + len(listed.faults),
        patients=len({study.patient for study in listed.studies.values()}),
    )


def table_rows(table: Path) -> list[dict[str, str]]:
    """The rows of series.csv, as they are shown; raises DatasetError."""
    return [dict(row) for row in read_table(table)]
