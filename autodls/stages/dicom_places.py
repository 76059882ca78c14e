"""Where an import reads and writes; places that it must not are refused before anything is read."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.files import read_bounded
from autodls.records.listing import IMAGES, LABELS
from autodls.records.model_folders import PROVENANCE
from autodls.stages.places import real_place, require_folder, require_output

_TABLES = ("series.csv", "ids.csv", "unused.csv", "README.txt", "written.jsonl")
_MADE = ("dataset.json", "clinical.csv", "clinical.xlsx", "acquisition.csv", "rois.csv", PROVENANCE)
_UNPACKED = "autodls-unpacked"
README = """Confidential.

ids.csv ties the case ids of a dataset to patients; series.csv and unused.csv hold descriptions and file names as the
scanner and the archive wrote them, which may name somebody. Keep this folder where the DICOM files are kept, and never
with the dataset.
"""


@dataclass(frozen=True)
class Imported:
    """What came of an import: `step` says which of the two it was, `table` where series.csv lies.

    `series` and `rois` count rows of the table, `proposed` those with a role, `ambiguous` those to look at, `refused`
    those that cannot be converted; `cases` and `images` count what was converted, `missing` says what the dataset still
    lacks, `notes` what should be known of it.
    """

    step: str
    dataset: Path
    table: Path
    series: int
    rois: int
    proposed: int
    ambiguous: int
    refused: int
    unused: int
    patients: int
    cases: int = 0
    images: int = 0
    masks: int = 0
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportPlaces:
    """The DICOM folder, the dataset, and the confidential folder with everything that may name somebody."""

    dicom: Path
    dataset: Path
    confidential: Path

    @classmethod
    def of(cls, dicom: Path, dataset: Path, confidential: Path | None) -> "ImportPlaces":
        """The places of an import; the confidential folder lies beside the dataset unless it is given."""
        whole = Path(os.path.abspath(dataset))  # noqa: PTH100 (links stay as they are)
        return cls(dicom, dataset, confidential or whole.with_name(f"{whole.name}-confidential"))

    @property
    def table(self) -> Path:
        """What a person edits."""
        return self.confidential / "series.csv"

    @property
    def ids(self) -> Path:
        """Which case is which patient."""
        return self.confidential / "ids.csv"

    @property
    def unused(self) -> Path:
        """Files that were not used, with the reason."""
        return self.confidential / "unused.csv"

    @property
    def readme(self) -> Path:
        """What the folder is."""
        return self.confidential / "README.txt"

    @property
    def log(self) -> Path:
        """Which files of the dataset are whole."""
        return self.confidential / "written.jsonl"

    @property
    def unpacked(self) -> Path:
        """Where archives are unpacked meanwhile."""
        return self.confidential / _UNPACKED

    def require_free(self) -> None:
        """Raise ArgumentError where one place lies in another, or the confidential folder is somebody else's."""
        require_output(self.dataset, [self.dicom])
        require_folder(self.confidential, "--confidential")
        dataset, confidential, dicom = map(real_place, (self.dataset, self.confidential, self.dicom))
        if dataset == confidential or dataset in confidential.parents:
            raise ArgumentError(
                f"--confidential {self.confidential}: lies in the dataset, which travels; give a folder elsewhere"
            )
        if dicom == confidential or dicom in confidential.parents or confidential in dicom.parents:
            raise ArgumentError(
                f"--confidential {self.confidential}: lies in the DICOM folder, or holds it; give a folder elsewhere"
            )
        if confidential in dataset.parents:
            raise ArgumentError(
                f"--confidential {self.confidential}: the dataset lies in it; give a folder that holds nothing else"
            )
        self._require_ours()

    def require_own_dataset(self, begun: Collection[str]) -> None:
        """Raise ArgumentError where the dataset folder holds what no import of this confidential folder has made.

        `begun` are the names of all files that such an import has ever begun; other things, such as a workspace or
        notes, may lie there.
        """
        for folder in (self.dataset / IMAGES, self.dataset / LABELS):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise ArgumentError(f"{folder}: is no folder of ours; move it away, or give a new folder with -o")
        present = [name for name in _MADE if (self.dataset / name).exists()]
        present += [
            f"{folder}/{path.name}"
            for folder in (IMAGES, LABELS)
            for path in sorted((self.dataset / folder).glob("*"))
            if not path.name.startswith(".tmp-")
        ]
        known = {*begun, PROVENANCE} if begun else set(begun)
        if foreign := [name for name in present if name not in known]:
            raise ArgumentError(
                f"-o {self.dataset}: holds {foreign[0]}, which no import with {self.confidential} has made; give a new "
                "folder, or the --confidential of the import that made it"
            )

    def _require_ours(self) -> None:
        if not self.confidential.is_dir():
            return
        there = sorted(path.name for path in self.confidential.iterdir())
        others = [name for name in there if name != _UNPACKED and not name.startswith(".tmp-")]
        if others and not self._is_marked():
            raise ArgumentError(
                f"--confidential {self.confidential}: holds {others[0]}, and no import; give a new or an empty folder"
            )
        if self.unpacked.is_symlink():
            raise ArgumentError(
                f"{self.unpacked}: is a link, expected nothing; move it away, then run the command again"
            )
        for name in _TABLES:
            if (path := self.confidential / name).exists() and not path.is_file():
                raise ArgumentError(f"{path}: is a folder, expected a file; move it away, then run the command again")

    def _is_marked(self) -> bool:
        """Whether the first file that an import writes there is there."""
        try:
            return read_bounded(self.readme, len(README)) == README.encode()
        except OSError:
            return False

    def put_table_aside(self) -> None:
        """Keep series.csv under another name, so that it is made anew."""
        if not self.table.exists():
            return
        number = 1
        while (aside := self.confidential / f"series.previous-{number}.csv").exists():
            number += 1
        self.table.rename(aside)
