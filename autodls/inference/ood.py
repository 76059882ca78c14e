"""Is a new case of the kind that the model was trained on? What differs is said, case by case."""

from dataclasses import dataclass, field

from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_roi
from autodls.inference.rois import UsedRoi
from autodls.planning.measure import TumourLocation, measure_sequence
from autodls.planning.ood import ood_flags
from autodls.planning.sequence_measure import SequenceMeasure
from autodls.records.fingerprint import Fingerprint


@dataclass
class OodMonitor:
    """Measures the volumes of one case as they are read for scoring, so that none is read twice.

    The ROI is read when the first volume is shown: by then it is known to be a sound one.
    """

    fingerprint: Fingerprint | None
    roi: UsedRoi
    measures: dict[str, SequenceMeasure] = field(default_factory=dict)
    _place: TumourLocation | None = None

    def look(self, sequence: str, volume: Volume) -> None:
        """Measure the volume of `sequence`."""
        if self.fingerprint is None:
            return
        if self._place is None:
            self._place = TumourLocation.of(read_roi(self.roi.path, self.roi.labels))
        self.measures[sequence] = measure_sequence(volume, self._place)

    @property
    def flags(self) -> tuple[str, ...]:
        """What sets the case apart from the training cohort; empty for a case of its kind."""
        return () if self.fingerprint is None else tuple(ood_flags(self.measures, self.fingerprint.sequences))
