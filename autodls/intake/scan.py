"""A folder of images and a table as they lie there, read once, however often a person thinks better of an answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from autodls.errors import DatasetError
from autodls.imaging.volumes import read_geometry, read_labels
from autodls.intake.channels import drawn_on, is_roi
from autodls.intake.names import CaseFile, Ids, by_role, files_of_cases, list_images
from autodls.records.base import read_json, some_of
from autodls.records.listing import IMAGES
from autodls.records.table import Table, read_table

_LOOKED_AT = 12  # cases whose grids say which channel an ROI was drawn on
_MOSTLY = 0.5  # of rows or ids: a column of case ids with a slip in it
_OF_CASES = ("case", "case_id", "id", "image", "image_id", "study_id", "patient", "patient_id", "subject", "subject_id")


@dataclass(frozen=True)
class Roles:
    """The files of all cases by role, `images` and `rois`, each by case; `others` are files of no row of the table."""

    images: Mapping[str, Mapping[str, Path]]
    rois: Mapping[str, Mapping[str, Path]]
    others: tuple[Path, ...]

    @property
    def cases(self) -> frozenset[str]:
        """Those that have an image."""
        return frozenset(case for files in self.images.values() for case in files)


class Scan:
    """The table's rows and the images below the folder; raises DatasetError where they cannot be read or are none."""

    def __init__(self, folder: Path, table: Path) -> None:
        self.folder, self.table = folder, table
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder; name the folder of the images")
        self.rows: Table = read_table(table)
        if not self.rows:
            raise DatasetError(f"{table}: the table has a header and no rows; it needs a row for each case")
        self.paths, self.ending = list_images(folder)
        self._found: dict[str, tuple[list[CaseFile], list[Path]]] = {}
        self._values: dict[Path, frozenset[int]] = {}

    @property
    def is_dataset(self) -> bool:
        """Whether images lie in the folder as the dataset format has them."""
        return (self.folder / IMAGES).is_dir() and all(
            path.relative_to(self.folder).parts[0] in (IMAGES, "labelsTr") for path in self.paths
        )

    @cached_property
    def nnunet(self) -> Mapping[str, object]:
        """What a dataset.json of nnU-Net says that lies there; nothing where there is none."""
        path = self.folder / "dataset.json"
        if not path.is_file():
            return {}
        content = read_json(path, "correct it, or move it away", DatasetError)
        if not isinstance(content, dict):
            raise DatasetError(f"{path}: holds no object of JSON; correct it, or move it away")
        if "autodls" in content:
            raise DatasetError(f"{path}: is that of a dataset already; run 'autodls check' on it")
        return content

    def files(self, column: str) -> tuple[list[CaseFile], list[Path]]:
        """The files of the cases that `column` names, and those of none."""
        if column not in self._found:
            ids = Ids.of(row[column] for row in self.rows)
            self._found[column] = files_of_cases(self.folder, self.paths, self.ending, ids)
        return self._found[column]

    def case_columns(self) -> list[str]:
        """Columns with another cell in every row that names files, the one that names most cases first."""
        named = {}
        for name in self.rows[0]:
            cells = [row[name] for row in self.rows]
            if all(cells) and len(set(cells)) == len(cells) and (found := self.files(name)[0]):
                named[name] = len({file.case for file in found})
        plain = {name: name.strip().lower().replace(" ", "_") for name in named}
        rank = {name: _OF_CASES.index(plain[name]) if plain[name] in _OF_CASES else len(_OF_CASES) for name in named}
        return sorted(named, key=lambda name: (-named[name], rank[name]))

    def no_case_column(self) -> DatasetError:
        """That no column names the files, or that the one which does names some case twice."""
        for name in self.rows[0]:
            counts = Counter(row[name] for row in self.rows if row[name])
            twice = next((cell for cell, count in counts.items() if count > 1), None)
            if twice is None or len(counts) <= _MOSTLY * len(self.rows):
                continue
            if len({file.case for file in self.files(name)[0]}) > _MOSTLY * len(counts):
                rows = some_of([str(row.number) for row in self.rows if row[name] == twice], 5)
                return DatasetError(
                    f"{self.table}: column '{name}' stands in the names of the files, but holds {twice!r} in rows "
                    f"{rows}; keep one row a case, or name another column of case ids with --case"
                )
        files = some_of([str(path.relative_to(self.folder)) for path in self.paths], 3)
        return DatasetError(
            f"{self.table}: no column has another id in every row that stands in the names of the files or folders of "
            f"{self.folder} (such as {files}); its columns are {some_of(self.rows[0], 30)}"
        )

    def drawn_values(self, paths: Sequence[Path]) -> list[int]:
        """Values above 0 in ROIs, in order; of one that cannot be read, none: `check` says what is wrong with it."""
        for path in paths:
            if path not in self._values:
                self._values[path] = frozenset()
                with suppress(DatasetError):
                    self._values[path] = frozenset(np.unique(read_labels(path).array).tolist())
        return sorted({value for path in paths for value in self._values[path] if value > 0})

    def roles(self, column: str) -> Roles:
        """The files of the cases of `column` by what they are; raises DatasetError where a case has two of one role."""
        found, others = self.files(column)
        roles = by_role(self.folder, found)
        images = {role: files for role, files in roles.items() if not is_roi(role)}
        if not images:
            raise DatasetError(
                f"{self.folder}: all images are named as ROIs ({some_of(roles)}); name its parent folder"
            )
        return Roles(images, {role: files for role, files in roles.items() if is_roi(role)}, tuple(others))


def same_grids(roi: Mapping[str, Path], images: Mapping[str, Mapping[str, Path]]) -> Counter[str]:
    """In how many of the first cases the ROI has the grid of each image role; what cannot be read does not count."""
    counts: Counter[str] = Counter()
    for case in sorted(roi)[:_LOOKED_AT]:
        with suppress(DatasetError):
            grid = read_geometry(roi[case])
            for role, files in images.items():
                with suppress(DatasetError):
                    counts[role] += case in files and grid.same_grid(read_geometry(files[case]))
    return counts


def main_roi(rois: Mapping[str, Mapping[str, Path]]) -> dict[str, Mapping[str, Path]]:
    """ROIs by the channel that their role names, "" for one that names none; raises DatasetError for two of one."""
    found: dict[str, Mapping[str, Path]] = {}
    for role, files in rois.items():
        if (channel := drawn_on(role)) in found:
            raise DatasetError(
                f"ROIs of several sorts ({some_of(rois)}): nothing says which is the tumor; move the others away"
            )
        found[channel] = files
    return found
