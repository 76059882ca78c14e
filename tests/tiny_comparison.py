"""A study that `autodls compare` takes in a second or two: made-up features and scores, few settings."""

import csv
import json
import shutil

import numpy as np
from command_line import autodls
from tiny_workspace import tiny_workspace

from autodls.candidates import radiomic_cases, radiomics
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_volume, write_volume
from autodls.planning.fingerprint import inputs_sha256
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Plan

TRAINING = 24


def mean_inside(image, roi, _bin_width=None):
    return {"stat_mean": float(image[roi].mean()), "stat_var": float(image[roi].var())}


def use_quick_candidates(monkeypatch):
    """Three features instead of the library's, and few settings."""
    monkeypatch.setattr(radiomics, "library", lambda: "made up 1")
    monkeypatch.setattr(radiomic_cases, "library", lambda: "made up 1")
    monkeypatch.setattr(radiomic_cases, "shape_features", lambda roi: {"morph_volume": float(roi.sum())})
    monkeypatch.setattr(radiomic_cases, "picture_features", mean_inside)
    monkeypatch.setattr("autodls.candidates.learners._NET", (0.3,))
    monkeypatch.setattr("autodls.candidates.learners._LASSO_SHARES", (0.5,))
    monkeypatch.setattr("autodls.candidates.learners._TREES", 5)
    monkeypatch.setattr("autodls.candidates.learners._RIDGE", (0.1, 1.0))
    monkeypatch.setattr("autodls.candidates.nested.MOST_PARTS", 2)


def planned(place, cohort):
    """Make the plan that lies there one of these images."""
    seen = Fingerprint.load(place.fingerprint, "")
    found = inputs_sha256(cohort.training, 1, lambda _case: None)
    labels = tuple(sorted(cohort.description.roi_labels))
    seen.model_copy(update={"inputs_sha256": found, "roi_labels": labels}).save(place.fingerprint)
    made = {"fingerprint_sha256": sha256_of_file(place.fingerprint)}
    Plan.load(place.plan, "").model_copy(update=made).save(place.plan)


def compared_study(dataset, root):
    """The workspace `root` of `dataset`, with a locked model of made-up scores."""
    place = tiny_workspace(dataset, root)
    planned(place, read_cohort(dataset))
    return place


def command(dataset, place, *words):
    """In this process alone: others would not have the quick features."""
    return autodls("compare", "-d", dataset, "-w", place.root, "--workers", 1, *words)


def new_cases(dataset, tmp_path):
    """The held-out cases as another hospital has them."""
    for name in ("images", "rois"):
        (tmp_path / name).mkdir()
    for number in (TRAINING, TRAINING + 1):
        for path in (dataset / "imagesTr").glob(f"case_{number}*"):
            shutil.copy(path, tmp_path / "images")
        shutil.copy(dataset / "labelsTr" / f"case_{number}.nii.gz", tmp_path / "rois")
    return "-i", tmp_path / "images", "--rois", tmp_path / "rois"


def make_telling(dataset, place):
    """Volumes and clinical columns tell the classes apart, not of all cases; some cells are empty."""
    for case in read_cohort(dataset).cases:
        roi = read_volume(case.roi)
        if int(case.id[-2:]) % 2:
            array = roi.array.copy()
            array[int(np.nonzero(array)[0].max())] = 0
            write_volume(case.roi, Volume(array, roi.geometry))
    with_columns(dataset)
    planned(place, read_cohort(dataset))


def with_columns(dataset):
    """Write columns `stage` (levels) and `marker` (numbers, some missing) into the table of `dataset`."""
    table = dataset / "clinical.csv"
    with table.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    chance = np.random.default_rng(5)
    for number, row in enumerate(rows):
        high = (number % 2 == 0) != (number % 5 == 0)
        row["stage"] = "T3" if high else "T1"
        row["marker"] = "" if number % 7 == 3 else f"{2 * (number % 2 == 0) + chance.normal(3, 1):.2f}"
    with table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    path = dataset / "dataset.json"
    description = json.loads(path.read_text())
    description["autodls"]["clinical"] = ["age", "stage", "marker"]
    path.write_text(json.dumps(description))
