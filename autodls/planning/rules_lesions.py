"""How lesions are told apart, where dataset.json asks for a score a lesion."""

from autodls.planning.decision import Decision
from autodls.planning.tumour import LEAST_LESION_MM3
from autodls.records.fingerprint import Fingerprint

USUAL_MOST = 20
_WORDS = {"components": "connected parts of the ROI", "labels": "values of the ROI"}


def lesions(fingerprint: Fingerprint) -> dict[str, Decision]:
    """The plan's `preprocessing.lesions`; nothing where the ROI is one tumour."""
    found = fingerprint.lesions
    if found is None:
        return {}
    most = max(USUAL_MOST, int(found.per_case.maximum))
    value = {"told_by": found.told_by, "least_mm3": LEAST_LESION_MM3, "most": most}
    return {
        "preprocessing.lesions": Decision(
            value,
            f"dataset.json tells lesions apart by {_WORDS[found.told_by]}: {found.total} lesions in "
            f"{fingerprint.cases} cases, {found.per_case.median:g} in the median and at most "
            f"{found.per_case.maximum:g}. Each is scored, and the patient's score is the mean of their log-odds; in "
            "training a patient counts once, however many there are. Under "
            f"{LEAST_LESION_MM3:g} mm3, a ball of 5 mm across, a part is no lesion by itself.",
        )
    }
