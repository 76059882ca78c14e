"""File names of what goes back to an archive: a folder a case, and which study each is of."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DicomFolder:
    """DICOM results; other than all else that is written, they name the patient in their headers."""

    root: Path

    @property
    def studies(self) -> Path:
        """The StudyInstanceUID of each case."""
        return self.root / "studies.csv"

    def segmentation(self, case: str) -> Path:
        """The ROI that was used."""
        return self.root / case / "roi.dcm"

    def report(self, case: str) -> Path:
        """The structured report."""
        return self.root / case / "score.dcm"

    def page(self, case: str) -> Path:
        """The PDF of one page."""
        return self.root / case / "page.dcm"

    def heatmap(self, case: str, number: int) -> Path:
        """A picture with heat maps."""
        return self.root / case / f"heatmap_{number}.dcm"
