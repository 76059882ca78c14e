"""A CT cohort, one image a case in HU, through every command."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import autodls, write_preset
from tiny_study import use_tiny_resnet

from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.preprocessing.store import load_sample
from autodls.records.cohort import read_cohort
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.table import read_table
from autodls.records.workspace import Workspace

pytestmark = pytest.mark.long

STEPS = ("check", "plan", "train", "evaluate", "explain", "report", "predict", "verify", "verify model")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Dataset, workspace, and what each command answered."""
    root = tmp_path_factory.mktemp("ct")
    dataset, workspace = root / "dataset", Workspace(root / "workspace")
    write_cohort(dataset, PhantomSettings(cases=14, external_cases=2, modality="CT", matrix_factor=0.3, seed=4))
    place, common = ("-d", dataset, "-w", workspace.root), ("--workers", 1)
    images = ("-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", root / "out")
    commands = {
        "check": ("check", *place, *common),
        "plan": ("plan", *place, *common, "--preset", write_preset(root / "preset.json")),
        "train": ("train", "fold", "all", *place, *common),
        "evaluate": ("evaluate", *place, *common),
        "explain": ("explain", *place, *common, "--cases", 1),
        "report": ("report", *place),
        "predict": ("predict", *place, *common, *images),
        "verify": ("verify", workspace.root, "-d", dataset, *common),
        "verify model": ("verify", workspace.model.root),
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_resnet(monkeypatch)
        answers = {name: autodls(*words) for name, words in commands.items()}
    yield dataset, workspace, root / "out", answers
    shutil.rmtree(root)


@pytest.mark.parametrize("name", STEPS)
def test_every_command_succeeds(study, name):
    answer = study[3][name]
    assert answer.status == 0, answer.err + answer.out


def test_images_are_in_hu(study):
    dataset = study[0]
    for case in read_cohort(dataset).cases:
        image, roi = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (case.images["CT"], case.roi))
        assert -1024 <= image.min() < -900 and 300 < image.max() <= 3071
        assert 30 < np.median(image[roi > 0]) < 200, "an enhanced tumour"


def test_the_plan_takes_a_window_in_hu_and_says_why(study):
    plan = Plan.load(study[1].plan, "")
    assert plan.preprocessing.intensity["CT"].scheme == "window"
    assert plan.preprocessing.intensity["CT"].window_hu == (-160.0, 240.0)
    assert "soft-tissue window of -160 to 240 HU" in plan.reasons["preprocessing.intensity"]


def test_samples_hold_the_window_and_nothing_of_the_images_own_scale(study):
    dataset, workspace = study[:2]
    for case in read_cohort(dataset).training:
        sample = load_sample(workspace.sample(case.id))
        assert sample.pixels.min() >= -1 and sample.pixels.max() <= 1
        shown_hu = (sample.pixels[0][sample.roi] + 1) / 2 * 400 - 160
        image, roi = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (case.images["CT"], case.roi))
        # The planes show more of the edge, where other tissue is mixed in.
        assert np.median(shown_hu) == pytest.approx(np.median(image[roi > 0]), abs=50)


def test_one_sequence_is_all_there_is(study):
    record = ModelRecord.load(study[1].model.record, "")
    assert record.channel_names == {"0": "CT"} and record.roi_channel == "CT"
    metrics = json.loads(study[1].metrics.read_text())
    assert set(metrics["cohorts"]["external"]["scores"]) == {"dls", "CT"}
    rows = list(read_table(study[2] / "scores.csv"))
    assert {row["present"] for row in rows} == {"CT"} and all(0 < float(row["dls"]) < 1 for row in rows)
    assert Fingerprint.load(study[1].fingerprint, "").sequences["CT"].roi_percentiles["50"].median > 30
