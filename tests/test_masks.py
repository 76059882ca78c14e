"""From probabilities to the ROI: components, confidence, disagreement, and what happens when nothing is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from small_volumes import grid_around
from tiny_models import tiny_policy

from autodls.errors import ArgumentError
from autodls.preprocessing.planes import find_planes
from autodls.records.segmentation_plan import MaskPolicy
from autodls.segmentation.masks import (
    SOURCES,
    dice,
    keep_components,
    least_confidence_at,
    mask_from_probability,
    whole_field,
)

SPACING_MM = (0.5, 1.0, 4.0)  # a voxel has 2 mm3
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))
PROBABILITIES = st.floats(0, 1, width=32)


def boxes(*parts, shape=(6, 12, 12)):
    """Probabilities that are 0 but for boxes given as (value, z, y, x), each axis a slice."""
    found = np.zeros(shape, dtype=np.float32)
    for value, *place in parts:
        found[tuple(place)] = value
    return found


LARGE = (slice(1, 4), slice(1, 5), slice(1, 5))  # 48 voxels
SMALL = (slice(1, 3), slice(8, 11), slice(8, 10))  # 12 voxels


@st.composite
def probability_maps(draw):
    shape = draw(SHAPES)
    count = draw(st.integers(1, 4))
    return [draw(arrays.arrays(np.float32, shape, elements=PROBABILITIES)) for _ in range(count)]


def policies():
    return st.builds(
        MaskPolicy,
        components=st.sampled_from(["largest", "all", (1,), (2,), (1, 3)]),
        lower_threshold=st.floats(0.01, 0.49),
        least_confidence=st.floats(0.0, 0.99),
        least_volume_mm3=st.floats(0, 100),
        most_disagreement=st.floats(0.0, 0.99),
    )


def test_a_clear_tumour_is_taken_at_half():
    mask = mask_from_probability([boxes((0.9, *LARGE))] * 2, SPACING_MM, tiny_policy())
    assert (mask.array == (boxes((1, *LARGE)) > 0)).all()
    assert (mask.source, mask.components, mask.flags) == ("threshold", 1, ())
    assert (mask.confidence, mask.disagreement) == (pytest.approx(0.9), 0.0)


@pytest.mark.parametrize(
    ("components", "voxels"), [("largest", 48), ("all", 60), ((1,), 48), ((2,), 12), ((1, 2), 60), ((2, 7), 12)]
)
def test_components_by_policy_or_as_a_person_chose(components, voxels):
    found = boxes((0.9, *LARGE), (1.0, *SMALL))
    mask = mask_from_probability([found], SPACING_MM, tiny_policy(components=components))
    assert (int(mask.array.sum()), mask.components, mask.source) == (voxels, 2, "threshold")


def test_a_part_that_was_chosen_but_is_not_there_is_said():
    mask = mask_from_probability([boxes((0.9, *LARGE))], SPACING_MM, tiny_policy(components=(3,)))
    assert mask.source == "whole-field"
    assert mask.flags[0] == "1 parts found at 0.5, but none of the chosen (3,)"


def test_corners_connect():
    assert keep_components(np.eye(3, dtype=bool)[None], "largest")[1] == 1
    assert keep_components(np.array([[[1, 0, 1]]], dtype=bool), "largest")[1] == 2


def test_equal_parts_are_numbered_in_the_order_of_their_voxels():
    found = np.array([[[1, 0, 1, 0, 1]]], dtype=bool)
    assert [keep_components(found, (number,))[0].argmax() for number in (1, 2, 3)] == [0, 2, 4]


@pytest.mark.parametrize(
    ("found", "changes", "source", "said"),
    [
        (boxes((0.4, *LARGE)), {}, "lower-threshold", "nothing found at 0.5"),
        (boxes((0.05, *LARGE)), {}, "whole-field", "nothing found at 0.5"),
        (boxes(), {}, "whole-field", "nothing found at 0.1"),
        (boxes((0.9, *SMALL)), {"least_volume_mm3": 24.0}, "threshold", None),
        (boxes((0.9, *SMALL)), {"least_volume_mm3": 24.1}, "whole-field", "24 mm3 found at 0.5, less than 24.1"),
        (boxes((0.2, *LARGE), (0.9, *SMALL)), {"least_volume_mm3": 24.1}, "whole-field", "confidence of 0.20 at 0.1"),
        (boxes((0.4, *LARGE), (0.9, *SMALL)), {"least_volume_mm3": 24.1}, "lower-threshold", "24 mm3 found at 0.5"),
        (boxes((0.55, *LARGE)), {}, "lower-threshold", "confidence of 0.55 at 0.5, less than 0.60"),
        (boxes((0.55, *LARGE)), {"least_confidence": 0.5}, "threshold", None),
        (boxes((0.6, *LARGE)), {"least_confidence": 0.99}, "whole-field", "confidence of 0.60 at 0.5, less than 0.99"),
    ],
)
def test_fall_back_chain(found, changes, source, said):
    mask = mask_from_probability([found], SPACING_MM, tiny_policy(**changes))
    assert mask.source == source
    assert bool(mask.flags) == (source != "threshold")
    assert said is None or any(flag.startswith(said) for flag in mask.flags), mask.flags
    assert mask.array.any()
    assert mask.confidence == pytest.approx(found[mask.array].mean(), abs=1e-6)


def test_folds_are_averaged_before_the_threshold():
    sure, unsure = boxes((1.0, *LARGE)), boxes((0.2, *LARGE), (0.9, *SMALL))
    mask = mask_from_probability([sure, unsure], SPACING_MM, tiny_policy(components="all", most_disagreement=0.9))
    assert (mask.array == (sure > 0)).all()
    assert mask.confidence == pytest.approx(0.6)
    assert mask.disagreement == 1.0
    assert mask.flags == ("the folds' masks disagree: 1.00, more than 0.9",)


def test_disagreement_is_that_of_the_folds_own_masks():
    half = (slice(1, 4), slice(1, 5), slice(1, 3))  # 24 of the 48 voxels
    folds = [boxes((0.9, *LARGE)), boxes((0.9, *LARGE)), boxes((0.9, *half))]
    mask = mask_from_probability(folds, SPACING_MM, tiny_policy())
    assert mask.disagreement == pytest.approx(1 - (1 + 2 / 3 + 2 / 3) / 3)
    assert mask.flags == ()
    assert mask_from_probability(folds[:1], SPACING_MM, tiny_policy()).disagreement is None


def test_dice_of_masks():
    one, none = np.ones((1, 1, 2), dtype=bool), np.zeros((1, 1, 2), dtype=bool)
    assert (dice(one, one), dice(one, none), dice(none, none)) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "no probability map"),
        ([boxes(), boxes(shape=(2, 2, 2))], r"map 1 has shape \(2, 2, 2\), the first one \(6, 12, 12\)"),
        ([boxes((1.5, *SMALL))], "map 0 reaches from 0 to 1.5; it must stay in 0 to 1"),
        ([boxes((-0.5, *SMALL))], "from -0.5 to 0"),
        ([boxes((np.nan, *SMALL))], "from nan"),
    ],
)
def test_what_is_no_probability_is_refused(folds, message):
    with pytest.raises(ArgumentError, match=message):
        mask_from_probability(folds, SPACING_MM, tiny_policy())


def test_limits_keep_their_place_above_the_threshold():
    policy = tiny_policy(least_confidence=0.75)
    assert [least_confidence_at(threshold, policy) for threshold in (0.5, 0.2)] == pytest.approx([0.75, 0.6])
    assert least_confidence_at(0.1, tiny_policy(least_confidence=0.0)) < 0


@settings(deadline=None)
@given(SHAPES)
def test_the_whole_field_is_connected_and_symmetric(shape):
    field = whole_field(shape)
    assert field.any()
    assert ndimage.label(field, np.ones((3, 3, 3)))[1] == 1
    assert (field == field[::-1, ::-1, ::-1]).all()


def test_planes_through_the_whole_field_lie_in_its_middle():
    grid = grid_around((0.0, 0.0, 0.0), (41, 49, 11), (1.0, 1.0, 4.0))
    for plane in find_planes(whole_field((11, 49, 41)), grid, 1.0, 20.0):
        middle = plane.points_mm().mean(axis=(0, 1))
        assert np.abs(middle).max() <= 4.0


@settings(deadline=None, max_examples=150)
@given(probability_maps(), policies())
def test_any_probabilities_give_one_roi_that_is_explained(folds, policy):
    mask = mask_from_probability(folds, SPACING_MM, policy)
    mean = np.mean(np.asarray(folds, dtype=np.float64), axis=0).astype(np.float32)
    assert mask.array.any()
    assert mask.array.shape == mean.shape
    assert mask.source in SOURCES
    assert mask.confidence == pytest.approx(mean[mask.array].mean(), abs=1e-5)
    assert (mask.disagreement is None) == (len(folds) == 1)
    if mask.source == "whole-field":
        assert "the whole field is the ROI" in mask.flags[-1]
        assert (mask.array == whole_field(mean.shape)).all()
        return
    threshold = 0.5 if mask.source == "threshold" else policy.lower_threshold
    assert (mean[mask.array] >= np.float32(threshold)).all()
    assert mask.array.sum() * 2.0 >= policy.least_volume_mm3
    if policy.components == "largest":
        assert ndimage.label(mask.array, np.ones((3, 3, 3)))[1] == 1
    if policy.components == "all":
        assert (mask.array == (mean >= threshold)).all()


@settings(deadline=None, max_examples=60)
@given(probability_maps(), policies(), st.randoms())
def test_the_order_of_the_folds_does_not_matter(folds, policy, chance):
    mixed = chance.sample(folds, len(folds))
    first, second = (mask_from_probability(order, SPACING_MM, policy) for order in (folds, mixed))
    assert (first.array == second.array).all()
    assert (first.disagreement, first.source, first.flags) == (second.disagreement, second.source, second.flags)


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float32, SHAPES, elements=PROBABILITIES), policies())
def test_identical_folds_do_not_disagree(fold, policy):
    mask = mask_from_probability([fold] * 3, SPACING_MM, policy)
    assert mask.disagreement == 0.0
    assert (mask.array == mask_from_probability([fold], SPACING_MM, policy).array).all()


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float32, SHAPES, elements=PROBABILITIES))
def test_empty_maps_end_in_the_whole_field(fold):
    faint = (fold * 0.09).astype(np.float32)
    mask = mask_from_probability([faint], SPACING_MM, tiny_policy())
    assert mask.source == "whole-field"
    assert mask.flags[-1] == "no tumour found: the whole field is the ROI"
