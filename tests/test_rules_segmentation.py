"""Rules of the nnU-Net stage: device, memory, and what the cohort's tumours say."""

import pytest
from planning_records import CPU, GPU, decide, fingerprint, plan, spread

from autodls.planning.decision import Resources
from autodls.records.plan import SegmentationPlan


def seen_with(**tumour):
    seen = fingerprint()
    changed = {name: spread(value) for name, value in tumour.items()}
    return seen.model_copy(update={"tumour": seen.tumour.model_copy(update=changed)})


@pytest.mark.parametrize(
    ("memory_gib", "expected"),
    [(8.0, "default"), (8.4, "resenc_m"), (16.0, "resenc_m"), (22.3, "resenc_m"),
     (22.4, "resenc_l"), (37.2, "resenc_l"), (37.3, "resenc_xl"), (80.0, "resenc_xl")],
)  # fmt: skip
def test_the_largest_encoder_that_the_gpu_holds(memory_gib, expected):
    """nnU-Net's documentation/resenc_presets.md: 9, 24 and 40 GB."""
    decision = decide("segmentation.planner", fingerprint(), Resources(memory_gib, "cuda", bf16=True, cores=8))
    assert decision.value == expected
    assert "GB" in decision.reason


@pytest.mark.parametrize("name", ["planner", "epochs", "iterations_per_epoch"])
def test_a_cpu_gets_less_and_says_that_it_is_a_compromise(name):
    less, more = (decide(f"segmentation.{name}", fingerprint(), device) for device in (CPU, GPU))
    assert "a compromise: masks will be worse" in less.reason
    assert "compromise" not in more.reason
    assert name == "planner" or less.value < more.value


def test_a_gpu_gets_nnunet_s_own_schedule():
    schedule = plan(fingerprint(), GPU).segmentation
    assert (schedule.epochs, schedule.iterations_per_epoch) == (1000, 250)
    assert schedule.configuration == "3d_fullres"
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
