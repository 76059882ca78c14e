"""Locked candidates as records, without a study."""

from tiny_model_folder import small_volume_plan

from autodls.records.clinical_column import ClinicalColumn
from autodls.records.dataset import Target
from autodls.records.locked_candidate import DEEP, VOLUME, CandidatePart, LockedCandidate
from autodls.records.scale import LogisticScale

AGE = ClinicalColumn(name="age", median=60.0, low=30.0, high=85.0, had_missing=True)
STAGE = ClinicalColumn(name="stage", levels=("T1", "T2", "T3"))
CLINICAL = {
    "columns": (AGE, STAGE),
    "features": ("age", "age: (missing)", "stage: T1", "stage: T2", "stage: T3"),
    "middle": (58.0, 0.1, 0.0, 0.0, 0.0),
    "spread": (11.0, 0.3, 1.0, 1.0, 1.0),
    "coefficients": (0.4, -0.2, -0.5, 0.1, 0.7),
    "intercept": -0.3,
    "farthest": None,
}
LINEAR = {"middle": (1.0,), "spread": (2.0,), "coefficients": (0.5,), "intercept": 0.0, "farthest": None}


def candidate(name="volume", **changes):
    """A locked candidate of the volume, or whatever `changes` make of it."""
    return LockedCandidate(
        **{
            "candidate": name,
            "dataset": "tiny",
            "target": Target(name="high", column="cps", positive=">= 20"),
            "channel_names": {"0": "CE-T1WI", "1": "T2WI"},
            "file_ending": ".nii.gz",
            "roi_labels": (1,),
            "preprocessing": small_volume_plan().preprocessing,
            "library": None,
            "setting": "ridge C=1",
            "features": (VOLUME,),
            **LINEAR,
            "recalibration": LogisticScale(slope=1.3, intercept=-0.2),
            "cutoff": 0.5,
            "cutoff_source": "youden",
            "training_cases": 20,
            "training_positives": 10,
            "out_of_fold_auc": {"value": 0.7, "low": 0.6, "high": 0.8},
            "splits_sha256": "",
            "versions": {},
            **changes,
        }
    ).sealed()


def clinical_candidate(**changes):
    """Of an age that may be missing, and three stages."""
    return candidate("clinical", **{**CLINICAL, **changes})


def integrated_candidate(**changes):
    """Of networks, the same clinical columns, and one radiomic feature with a weight below 0."""
    radiomics = CandidatePart(
        candidate="radiomics", library="made up 1", setting="net", features=("shape:volume",), **LINEAR
    )
    clinical = CandidatePart(candidate="clinical", library=None, setting="ridge", **CLINICAL)
    fields = {
        "features": (DEEP, "clinical", "radiomics"),
        "middle": (0.2, -0.1, 0.3),
        "spread": (1.5, 0.6, 0.9),
        "coefficients": (0.9, 0.3, -0.2),
        "intercept": 0.1,
        "farthest": None,
        "lowest": (-3.0, -2.0, -2.0),
        "highest": (3.0, 2.0, 1.5),
        "parts": (clinical, radiomics),
        "networks_sha256": "0" * 64,
    }
    return candidate("integrated", **{**fields, **changes})
