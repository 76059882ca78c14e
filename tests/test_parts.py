"""Connected parts, held against SciPy's."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from autodls.imaging.parts import largest_run, middle, number_parts
from autodls.segmentation.masks import keep_components


def by_scipy(mask):
    """Labels by volume, of equal parts the first first."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    order = np.argsort(-np.bincount(labels.ravel(), minlength=count + 1)[1:], kind="stable") + 1
    numbers = np.zeros(count + 1, dtype=int)
    numbers[order] = np.arange(1, count + 1)
    return numbers[labels], count


@given(st.integers(0, 2**32), st.sampled_from([0.03, 0.08, 0.15, 0.4, 0.9]))
def test_parts_are_those_of_scipy(seed, share):
    chance = np.random.default_rng(seed)
    mask = chance.uniform(size=chance.integers(1, 14, 3)) < share
    numbers, count = number_parts(mask)
    expected, parts = by_scipy(mask)
    assert count == parts
    np.testing.assert_array_equal(numbers, expected)
    if count:
        np.testing.assert_array_equal(numbers == 1, keep_components(mask, "largest")[0])


def test_a_long_winding_part_is_one():
    mask = np.zeros((3, 41, 40), dtype=bool)
    mask[1, ::2] = True
    mask[1, 1::4, -1] = mask[1, 3::4, 0] = True
    assert number_parts(mask)[1] == by_scipy(mask)[1] == 1
    mask[1, 21, :] = False
    assert number_parts(mask)[1] == by_scipy(mask)[1] == 2


def test_planes_are_found_without_scipy():
    code = "import sys, autodls.preprocessing.case, autodls.imaging.parts; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("areas", "run", "place"),
    [([1, 3, 3, 3, 1], [1, 2, 3], 2), ([3, 3, 1, 3, 3], [0, 1], 0), ([3, 1, 3, 3], [2, 3], 2), ([2], [0], 0)],
)
def test_the_middle_of_the_longest_run(areas, run, place):
    found = largest_run(np.array(areas))
    assert (found.tolist(), middle(found)) == (run, place)
