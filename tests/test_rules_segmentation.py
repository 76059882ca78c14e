"""Rules of the nnU-Net stage: device, memory, and what the cohort's tumours say."""

import pytest
from planning_records import CPU, GPU, decide, fingerprint, plan, spread

from autodls.planning.decision import Resources
from autodls.planning.segmentation_time import expected_time
from autodls.records.segmentation_plan import SegmentationPlan


def seen_with(**tumour):
    seen = fingerprint()
    changed = {name: spread(value) for name, value in tumour.items()}
    return seen.model_copy(update={"tumour": seen.tumour.model_copy(update=changed)})


@pytest.mark.parametrize(
    ("memory_gib", "cases", "folds", "expected", "says"),
    [
        (8.0, 60, 5, "default", "8.59 GB are less than the 9 GB that nnU-Net documents for resenc_m"),
        (8.4, 60, 5, "resenc_m", "All 5 folds of resenc_m: about 15 hours on an A100"),
        (80.0, 60, 5, "resenc_m", "60 cases hardly repay resenc_l"),
        (80.0, 299, 3, "resenc_m", "299 cases hardly repay resenc_l"),
        (80.0, 300, 5, "resenc_m", "resenc_l would take 7 days, more than the week"),
        (80.0, 300, 3, "resenc_l", "resenc_xl takes twice as long"),
        (22.3, 300, 3, "resenc_m", "23.9 GB are less than the 24 GB that nnU-Net documents for resenc_l"),
    ],
)
def test_a_network_fits_the_gpu_and_is_repaid_by_the_cohort(memory_gib, cases, folds, expected, says):
    """nnU-Net's documentation/resenc_presets.md: 9 and 24 GB, 12 and 35 hours."""
    resources = Resources(memory_gib, "cuda", bf16=True, cores=8)
    decision = decide("segmentation.planner", fingerprint(cases, cases // 2), resources, training__folds=folds)
    assert decision.value == expected
    assert says in decision.reason and "not measured on this GPU" in decision.reason


def test_a_longer_schedule_is_a_longer_time():
    seen, large = fingerprint(300, 150), Resources(80.0, "cuda", bf16=True, cores=8)
    decision = decide("segmentation.planner", seen, large, training__folds=3, segmentation__epochs=2000)
    assert decision.value == "resenc_m" and "resenc_l would take 9 days" in decision.reason


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("resenc_xl", "3d_fullres", "cuda", 5 * 1000 * 250), "about 14 days on an A100"),
        (("default", "3d_fullres", "cuda", 1000 * 250), "about 9 hours on an A100"),
        (("small", "2d", "cpu", 3 * 20 * 10), "about 8 minutes, roughly"),
        (("small", "2d", "cuda", 600), "not known before it has begun"),
        (("resenc_m", "2d", "cuda", 600), "not known before it has begun"),
        (("resenc_m", "3d_fullres", "cpu", 600), "not known before it has begun"),
    ],
)
def test_the_time_is_said_with_its_source_or_not_at_all(named, said):
    assert said in expected_time(*named)


@pytest.mark.parametrize("name", ["planner", "epochs", "iterations_per_epoch"])
def test_a_cpu_gets_less_and_says_that_it_is_a_compromise(name):
    less, more = (decide(f"segmentation.{name}", fingerprint(), device) for device in (CPU, GPU))
    assert "a compromise: masks will be worse" in less.reason
    assert "compromise" not in more.reason
    assert name == "planner" or less.value < more.value


def test_a_gpu_gets_nnunet_s_own_schedule():
    schedule = plan(fingerprint(cases=100), GPU).segmentation
    assert (schedule.epochs, schedule.iterations_per_epoch) == (1000, 250)
    assert schedule.configuration == "3d_fullres"
    few = plan(fingerprint(cases=99), GPU)
    assert (few.segmentation.epochs, few.segmentation.iterations_per_epoch) == (250, 250)
    assert "250 epochs (nnUNetTrainer_250epochs) instead of its 1000" in few.reasons["segmentation.epochs"]
    small = plan(fingerprint(), CPU).segmentation
    assert (small.planner, small.configuration) == ("small", "2d")


@pytest.mark.parametrize(("median", "expected"), [(1.0, "largest"), (1.5, "largest"), (2.0, "all"), (6.0, "all")])
def test_components_are_kept_as_people_drew_them(median, expected):
    decision = decide("segmentation.mask.components", seen_with(components=median))
    assert decision.value == expected
    assert f"{median:g} connected part" in decision.reason


@pytest.mark.parametrize(("smallest_ml", "expected_mm3"), [(30.0, 7500.0), (0.02, 5.0), (0.0, 0.0)])
def test_least_volume_is_a_quarter_of_the_smallest_tumour(smallest_ml, expected_mm3):
    assert decide("segmentation.mask.least_volume_mm3", seen_with(volume_ml=smallest_ml)).value == expected_mm3


@pytest.mark.parametrize("resources", [CPU, GPU])
def test_the_stage_is_always_planned_and_explained(resources):
    made = plan(fingerprint(), resources)
    assert isinstance(made.segmentation, SegmentationPlan)
    assert made.segmentation.mask.lower_threshold < 0.5 <= made.segmentation.mask.least_confidence
    assert made.segmentation.noninferiority_margin_auc == 0.05
    assert "before anything is scored" in made.reasons["segmentation.noninferiority_margin_auc"]


def test_a_preset_gives_components_that_a_person_chose():
    made = plan(fingerprint(), segmentation__mask__components=[1, 3], segmentation__epochs=5)
    assert made.segmentation.mask.components == (1, 3)
    assert made.segmentation.epochs == 5
    assert made.reasons["segmentation.mask.components"] == "Given by preset mine."
