"""The demo as it ships: it learns what is there, and with shuffled labels it finds nothing."""

import json

import pytest

from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.phantom.cohort import TRUTH_FILE
from autodls.records.scores import FUSED
from autodls.stages.demo import demo

pytestmark = pytest.mark.slow


def fused_out_of_fold(rows):
    """The row of the DLS of the training cohort, each case scored by the fold that did not see it."""
    return next(row for row in rows if row.cohort == OUT_OF_FOLD and row.row == FUSED)


def test_the_demo_learns_what_the_phantom_holds(tmp_path):
    found = fused_out_of_fold(demo(tmp_path).rows)
    truth = json.loads((tmp_path / "dataset" / TRUTH_FILE).read_text())
    assert found.value >= 0.80
    assert found.low <= truth["images_ceiling_auc"] <= truth["ceiling_auc"]


def test_with_shuffled_labels_it_finds_nothing(tmp_path):
    """The leak alarm: whatever lets a case's own label into its score would lift the interval off one half."""
    found = fused_out_of_fold(demo(tmp_path, permute_labels=True).rows)
    assert (tmp_path / "dataset" / "labels-permuted").is_file()
    assert found.low <= 0.5 <= found.high
