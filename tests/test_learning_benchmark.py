"""`benchmarks/learning.py`: a folder that is used twice holds the same study."""

import importlib.util
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "benchmarks" / "learning.py"


@pytest.fixture
def learning():
    spec = importlib.util.spec_from_file_location("learning", HARNESS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_labels_are_shuffled_once(learning, make_dataset, tmp_path):
    table = make_dataset(tmp_path / "study", training=12, held_out=4) / "clinical.csv"
    written = table.read_text()
    learning._permute(table.parent, seed=1)
    once = table.read_text()
    assert once != written and sorted(once.split(",")[0]) == sorted(written.split(",")[0])
    learning._permute(table.parent, seed=1)
    assert table.read_text() == once
