"""Is a new case of the kind that the model was trained on? What differs is said, case by case."""

from dataclasses import dataclass, field

from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_roi
from autodls.inference.rois import UsedRoi
from autodls.planning.measure import TumourLocation, measure_sequence
from autodls.planning.ood import ood_flags, tumour_flags
from autodls.planning.sequence_measure import SequenceMeasure
from autodls.planning.tumour import volume_ml
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
    _volume_ml: float = 0.0

    def look(self, sequence: str, volume: Volume) -> None:
        """Measure the volume of `sequence`."""
        if self.fingerprint is None:
            return
        if self._place is None:
            drawn = read_roi(self.roi.path, self.roi.labels)
            self._place, self._volume_ml = TumourLocation.of(drawn), volume_ml(drawn)
        self.measures[sequence] = measure_sequence(volume, self._place)

    @property
    def flags(self) -> tuple[str, ...]:
        """What sets the case apart from the training cohort; empty for a case of its kind."""
        seen = self.fingerprint
        if seen is None or self._place is None:
            return ()
        images = ood_flags(self.measures, seen.sequences)
        return (*tumour_flags(self._volume_ml, seen.tumour, seen.cases), *images)
