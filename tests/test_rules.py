"""Each planning rule: its value, its bounds, and a reason that holds the numbers."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_records import CPU, GPU, decide, fingerprint, sequence, spread

from autodls.errors import PlanError
from autodls.planning.decision import Resources
from autodls.planning.rules import RULES
from autodls.records.fingerprint import Fingerprint, SequenceFingerprint
from autodls.records.preprocessing_plan import IntensityPlan


def test_equal_grids_need_no_registration() -> None:
    assert decide("preprocessing.registration", fingerprint()).value == "none"


def test_other_grids_go_through_the_geometry() -> None:
    seen = fingerprint(CE=sequence(), T2=sequence(same_grid=0.25, overlap=0.9))
    decision = decide("preprocessing.registration", seen)
    assert decision.value == "geometry"
    assert "T2 in 75% of cases" in decision.reason
    assert "90%" in decision.reason


def test_an_image_beside_the_tumour_is_registered() -> None:
    seen = fingerprint(CE=sequence(), T1=sequence(same_grid=0.0, overlap=0.95), T2=sequence(overlap=0.3))
    decision = decide("preprocessing.registration", seen)
    assert decision.value == "auto", "one case decides for itself, not for the cohort"
    assert "T2 covers only 30%" in decision.reason
    assert "all others are sampled through spacing" in decision.reason


def test_a_sequence_without_cases_says_nothing_about_registration() -> None:
    seen = fingerprint(CE=sequence(), T2=sequence(cases=0, same_grid=0.0, overlap=0.0))
    assert decide("preprocessing.registration", seen).value == "none"


@pytest.mark.parametrize(
    ("extent_mm", "input_px", "expected_mm"),
    [(60.0, 224, 92.0), (60.0, 128, 92.0), (1.0, 224, 32.0), (132.35, 224, 175.0)],
)
def test_crop_shows_tumour_and_rim_in_the_central_crop(extent_mm: float, input_px: int, expected_mm: float) -> None:
    seen = fingerprint(extent_mm=extent_mm, sagittal_mm=1.0)
    decision = decide("preprocessing.crop_mm", seen, preprocessing__input_size_px=input_px)
    assert decision.value == expected_mm
    assert ("at least 32 mm" in decision.reason) == (expected_mm == 32.0)
    stored = decide("preprocessing.slice_size_px", seen, preprocessing__input_size_px=input_px).value
    assert decision.value * input_px / stored >= min(extent_mm + 20, 28.0)


def test_crop_follows_the_plane_in_which_tumours_are_largest() -> None:
    assert "(axial)" in decide("preprocessing.crop_mm", fingerprint()).reason
    flat = fingerprint(extent_mm=4.0, sagittal_mm=20.0)
    assert "(sagittal)" in decide("preprocessing.crop_mm", flat).reason


@pytest.mark.parametrize(
    ("multifocal", "said"),
    [(None, "px."), (0, "None of 100 tumours is multifocal."), (7, "7 of 100 tumours are multifocal"),
     (7, "up to 12.5% of a tumour's volume lies beside it")],
)  # fmt: skip
def test_the_crop_says_how_many_tumours_are_multifocal(multifocal: int | None, said: str) -> None:
    seen = fingerprint()
    beside = None if multifocal is None else spread(0.125)
    tumour = seen.tumour.model_copy(update={"multifocal": multifocal, "share_beside_largest": beside})
    known = decide("preprocessing.crop_mm", seen.model_copy(update={"tumour": tumour}))
    assert said in known.reason
    assert known.value == decide("preprocessing.crop_mm", seen).value
    older = Fingerprint.parse(seen.model_dump(exclude={"tumour": {"multifocal", "share_beside_largest"}}), "", "")
    assert older == seen


@pytest.mark.parametrize(
    ("spacing_mm", "input_px", "expected_mm", "because"),
    [
        ((0.9766, 0.9766, 3.27), 224, 0.98, "no finer"),
        ((5.0, 0.5, 0.6), 224, 0.6, "no finer"),
        ((0.5, 0.5, 4.0), 128, 0.64, "would not fit"),
        ((0.2, 0.2, 4.0), 224, 0.36, "would not fit"),
        ((1.2, 1.2, 4.0), 224, 1.2, "no finer"),
    ],
)
def test_spacing_is_neither_finer_than_the_image_nor_too_fine_for_the_crop(
    spacing_mm: tuple[float, float, float], input_px: int, expected_mm: float, because: str
) -> None:
    seen = fingerprint(CE=sequence(spacing_mm))
    decision = decide("preprocessing.spacing_mm", seen, preprocessing__input_size_px=input_px)
    assert decision.value == expected_mm
    assert because in decision.reason


@given(extent_mm=st.floats(1, 300), in_plane_mm=st.floats(0.1, 6), device=st.sampled_from([CPU, GPU]))
def test_the_crop_always_fits_the_stored_plane(extent_mm: float, in_plane_mm: float, device: Resources) -> None:
    seen = fingerprint(extent_mm=extent_mm, CE=sequence((in_plane_mm, in_plane_mm, 7.0)))
    spacing, crop, stored = (
        decide(f"preprocessing.{name}", seen, device).value for name in ("spacing_mm", "crop_mm", "slice_size_px")
    )
    assert round(crop / spacing) <= stored
    assert in_plane_mm <= spacing + 1e-9 <= max(in_plane_mm, crop / stored) + 0.01 + 1e-6


def test_spacing_needs_an_image_of_the_roi_channel() -> None:
    seen = fingerprint(CE=sequence().model_copy(update={"spacing_mm": None}))
    with pytest.raises(PlanError, match="no training case has an image of the ROI channel 'CE'"):
        decide("preprocessing.spacing_mm", seen)


@pytest.mark.parametrize(("resources", "expected_px"), [(CPU, 128), (GPU, 224)])
def test_input_size_depends_on_the_device(resources: Resources, expected_px: int) -> None:
    assert decide("preprocessing.input_size_px", fingerprint(), resources).value == expected_px


def test_a_cpu_plan_says_why_its_input_is_smaller() -> None:
    reason = decide("preprocessing.input_size_px", fingerprint()).reason
    assert "128 px trains about 2.6 times faster than 224 px" in reason


@pytest.mark.parametrize(
    ("memory_gib", "expected_px"), [(16, 224), (5.75, 192), (4.75, 160), (3.75, 128), (2.75, 96), (1.75, 64)]
)
def test_a_smaller_gpu_gets_a_smaller_input(memory_gib: float, expected_px: int) -> None:
    resources = Resources(memory_gib, "cuda", bf16=False, cores=4)
    decision = decide("preprocessing.input_size_px", fingerprint(cases=400, positives=150), resources)
    assert decision.value == expected_px
    assert "GiB" in decision.reason


@pytest.mark.parametrize(
    ("cases", "positives", "expected"), [(12, 6, 8), (34, 7, 8), (60, 24, 12), (100, 40, 20), (267, 86, 32)]
)
def test_a_batch_is_at_most_a_third_of_the_cases_and_never_under_eight(
    cases: int, positives: int, expected: int
) -> None:
    assert decide("training.batch_size", fingerprint(cases, positives), GPU).value == expected


@pytest.mark.parametrize(
    ("cases", "reason"),
    [(12, "although more than 33% of the 6 cases"), (60, "At most 33% of the 38 cases"), (267, "no more than 33% of")],
)
def test_a_batch_says_what_decided_it(cases: int, reason: str) -> None:
    assert reason in decide("training.batch_size", fingerprint(cases, cases // 2), GPU).reason


def test_components_that_are_not_fewer_than_the_cases_are_not_said_to_be() -> None:
    reason = decide("network.pca_dims", fingerprint(10, 5), training__folds=3).reason
    assert (
        "no fewer than the 5 patients" in reason
        and "fewer than the 5 patients that the PCA is fitted on, and" not in reason
    )


def test_a_batch_that_memory_bounds_says_so() -> None:
    small = Resources(3.05, "cuda", bf16=False, cores=4)
    decision = decide("training.batch_size", fingerprint(400, 150), small, preprocessing__input_size_px=224)
    assert decision.value == 4
    assert "2.44 GiB" in decision.reason


def test_too_little_memory_is_an_error_that_names_what_is_needed() -> None:
    with pytest.raises(PlanError, match=r"memory of 1 GiB: a batch of 4 at 64 px needs a budget of 1\.\d+ GiB"):
        decide("training.batch_size", fingerprint(), Resources(1.0, "cpu", bf16=False, cores=1))


@settings(max_examples=60)
@given(
    memory_gib=st.floats(3.2, 40),
    more_gib=st.floats(0, 20),
    cases=st.integers(16, 600),
    device=st.sampled_from(["cpu", "cuda"]),
    bf16=st.booleans(),
)
def test_more_memory_never_gives_a_smaller_batch_or_input(
    memory_gib: float, more_gib: float, cases: int, device: str, bf16: bool
) -> None:
    seen = fingerprint(cases, cases // 2)
    for name in ("training.batch_size", "preprocessing.input_size_px"):
        less, more = (
            decide(name, seen, Resources(size, device, bf16=bf16, cores=2)).value  # type: ignore[arg-type]
            for size in (memory_gib, memory_gib + more_gib)
        )
        assert less <= more


def test_learning_rate_scales_with_the_batch() -> None:
    assert decide("training.learning_rate", fingerprint(), training__batch_size=32).value == pytest.approx(0.01)
    assert decide("training.learning_rate", fingerprint(), training__batch_size=8).value == pytest.approx(0.0025)


@pytest.mark.parametrize(
    ("cases", "heads", "expected"), [(34, 8, 16), (60, 8, 24), (267, 8, 128), (10, 8, 8), (60, 6, 30), (400, 8, 128)]
)
def test_pca_dims(cases: int, heads: int, expected: int) -> None:
    seen = fingerprint(cases, 7 if cases == 34 else cases // 2)
    decision = decide("network.pca_dims", seen, training__folds=3, network__fusion__heads=heads)
    assert decision.value == expected
    assert decision.value % heads == 0


@pytest.mark.parametrize(("rarer", "expected"), [(4, 2), (5, 2), (6, 3), (7, 3), (14, 3), (15, 5), (86, 5)])
def test_folds_by_the_rarer_class(rarer: int, expected: int) -> None:
    assert decide("training.folds", fingerprint(cases=200, positives=rarer)).value == expected
    assert decide("training.folds", fingerprint(cases=200, positives=200 - rarer)).value == expected


@pytest.mark.parametrize("rarer", [0, 1, 3])
def test_too_few_of_a_class(rarer: int) -> None:
    with pytest.raises(PlanError, match=f"{rarer} training patients of the rarer class.*at least 4 of each"):
        decide("training.folds", fingerprint(cases=50, positives=rarer))


@pytest.mark.parametrize("resources", [CPU, GPU])
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("imagenet", ("resnet101", False, "sgd", 1e-4)),
        ("mine.pth", ("resnet101", False, "sgd", 1e-4)),
        ("random", ("resnet8", True, "adamw", 0.05)),
    ],
)
def test_random_weights_lead_to_a_small_network_guided_by_the_roi(
    weights: str, expected: tuple[object, ...], resources: Resources
) -> None:
    names = ("network.encoder", "network.roi_guided", "training.optimizer", "training.weight_decay")
    decided = [decide(name, fingerprint(), resources, network__encoder_weights=weights) for name in names]
    assert tuple(decision.value for decision in decided) == expected
    assert weights != "random" or all("andom weights" in one.reason for one in decided[::2])


def test_with_adamw_the_rate_does_not_follow_the_batch() -> None:
    given = {"training__optimizer": "adamw"}
    rates = [decide("training.learning_rate", fingerprint(), training__batch_size=n, **given).value for n in (4, 32)]
    assert rates == [0.002, 0.002]


@pytest.mark.parametrize(
    ("encoder", "input_px", "patch", "tokens"),
    [("resnet101", 224, 1, 7), ("resnet8", 64, 1, 8), ("resnet8", 128, 2, 8), ("resnet8", 224, 4, 7)],
)
def test_a_patch_keeps_the_tokens_few(encoder: str, input_px: int, patch: int, tokens: int) -> None:
    given = {"network__encoder": encoder, "preprocessing__input_size_px": input_px}
    decision = decide("network.fusion.patch_px", fingerprint(), **given)
    assert decision.value == patch
    assert patch == 1 or f"make {tokens} x {tokens} tokens" in decision.reason


@pytest.mark.parametrize(
    ("guided", "patch", "expected"), [(False, 1, 64), (True, 1, 128), (True, 2, 32), (True, 4, 8), (True, 7, 8)]
)
def test_pca_dims_of_a_small_encoder_are_bound_by_channels_and_patch(guided: bool, patch: int, expected: int) -> None:
    given = {"network__encoder": "resnet8", "network__roi_guided": guided, "network__fusion__patch_px": patch}
    assert decide("network.pca_dims", fingerprint(400, 200), **given).value == expected


@pytest.mark.parametrize(("positives", "expected"), [(322, 0.678), (485, 0.515), (50, 0.75), (900, 0.25)])
def test_focal_alpha_is_the_share_of_the_other_class(positives: int, expected: float) -> None:
    decision = decide("training.focal_alpha", fingerprint(cases=1000, positives=positives))
    assert decision.value == pytest.approx(expected)
    assert ("kept within" in decision.reason) == (expected in (0.25, 0.75))


@pytest.mark.parametrize(
    ("name", "roi_median", "scheme"),
    [
        ("CT", 40.0, "window"),
        ("CE-CT", 40.0, "window"),
        ("ct_portal", -120.0, "window"),
        ("CT", 900.0, "zscore"),
        ("FLAIR", 40.0, "zscore"),
        ("ADC", 40.0, "zscore"),
        ("CTS", 40.0, "zscore"),
        ("PET", 4.0, "window"),
        ("FDG_PET", 4.0, "window"),
        ("PETER", 4.0, "zscore"),
        ("PET/CT", 4.0, "zscore"),
    ],
)
def test_intensity_by_name_and_values(name: str, roi_median: float, scheme: str) -> None:
    decision = decide("preprocessing.intensity", fingerprint(**{name: sequence(roi_median=roi_median)}))  # type: ignore[arg-type]
    assert decision.value[name]["scheme"] == scheme
    assert name in decision.reason


def pet(foreground: float, tumour: float) -> SequenceFingerprint:
    """A PET sequence by the median of its foreground and the 99.5th percentile of its tumours."""
    inside = {"50": spread(tumour / 2), "99.5": spread(tumour)}
    return sequence().model_copy(
        update={"foreground_percentiles": {"50": spread(foreground)}, "roi_percentiles": inside}
    )


@pytest.mark.parametrize(
    ("foreground", "tumour", "window"),
    [(1.0, 8.0, (0.0, 20.0)), (0.5, 23.5, (0.0, 25.0)), (6.0, 80.0, (0.0, 50.0)), (9000.0, 60000.0, None)],
)
def test_pet_has_a_window_in_suv_that_holds_its_tumours(
    foreground: float, tumour: float, window: tuple[float, float] | None
) -> None:
    decision = decide("preprocessing.intensity", fingerprint(T1=sequence(), PET=pet(foreground, tumour)))
    made = IntensityPlan.model_validate_json(json.dumps(decision.value["PET"]))
    assert made.window == window
    assert made.scheme == ("zscore" if window is None else "window")
    assert ("no SUV (expected 0.1 to 15; convert the images)" in decision.reason) == (window is None)


@pytest.mark.parametrize(("above", "high"), [(0.02, 99.5), (0.08, 100.0)])
def test_percentiles_that_cut_through_tumours_are_widened_and_told(above: float, high: float) -> None:
    seen = sequence().model_copy(update={"roi_clipped": {"above": spread(above), "below": spread(0.3)}})
    decision = decide("preprocessing.intensity", fingerprint(T1=seen))
    assert decision.value["T1"]["clip_percentiles"] == [0.5, high]
    assert ("8.0% of the tumour" in decision.reason) == (high == 100.0)
    assert "30.0% of the tumour in the median case" in decision.reason


def test_intensity_names_both_groups_once() -> None:
    seen = fingerprint(CT=sequence(), T1=sequence(), T2=sequence())
    assert decide("preprocessing.intensity", seen).reason.count("T1, T2: ") == 1


@pytest.mark.parametrize(("resources", "epochs", "patience"), [(CPU, 40, 10), (GPU, 60, 12)])
def test_epochs_and_patience(resources: Resources, epochs: int, patience: int) -> None:
    assert decide("training.epochs", fingerprint(), resources).value == epochs
    assert decide("training.patience", fingerprint(), resources).value == patience


def test_few_epochs_keep_patience_and_warm_up_small() -> None:
    assert decide("training.patience", fingerprint(), training__epochs=1).value == 1
    assert decide("training.warmup_epochs", fingerprint(), training__epochs=1).value == 0
    assert decide("training.warmup_epochs", fingerprint()).value == 3


@pytest.mark.parametrize(("weights", "expected"), [("random", 0.3), ("imagenet", 0.1), ("mine.pth", 0.1)])
def test_batch_norm_momentum_by_weights(weights: str, expected: float) -> None:
    decision = decide("training.batch_norm_momentum", fingerprint(), network__encoder_weights=weights)
    assert decision.value == expected


def test_small_things_follow_cohort_and_device() -> None:
    assert decide("training.inner_holdout", fingerprint(200, 100)).value == 0.2
    assert decide("training.inner_holdout", fingerprint(34, 7)).value == 0.25
    assert decide("training.precision", fingerprint(), GPU).value == "bf16"
    assert decide("training.precision", fingerprint(), CPU).value == "fp32"
    assert decide("training.augmentation", fingerprint(), GPU).value == "nnunet"
    assert decide("training.augmentation", fingerprint(), CPU).value == "paper"
    assert decide("training.sequence_dropout", fingerprint()).value == 0.1
    assert decide("training.sequence_dropout", fingerprint(CE=sequence())).value == 0.0


@pytest.mark.parametrize("resources", [CPU, GPU])
@pytest.mark.parametrize("name", RULES)
def test_every_reason_is_a_sentence(name: str, resources: Resources) -> None:
    reason = decide(name, fingerprint(), resources).reason
    assert reason.endswith(".")
    assert reason[0].isupper() or reason[0].isdigit() or name == "preprocessing.intensity"
    assert len(reason.split()) >= 4
