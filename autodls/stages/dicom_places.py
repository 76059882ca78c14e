"""Where an import reads and writes; places that it must not are refused before anything is read."""

import os
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.files import read_bounded
from autodls.stages.places import real_place, require_folder, require_output

_TABLES = ("series.csv", "ids.csv", "unused.csv", "README.txt", "written.jsonl")
_UNPACKED = "autodls-unpacked"
README = """Confidential.

ids.csv ties the case ids of a dataset to patients; series.csv and unused.csv hold descriptions and file names as the
scanner and the archive wrote them, which may name somebody. Keep this folder where the DICOM files are kept, and never
with the dataset.
"""


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
