"""Everything but drawing ROIs works where nnU-Net is not installed, and drawing says how to install it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXTRA = "pip install 'autodls[segmentation]'"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    script = Path(__file__).with_name("without_nnunet.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path_factory.mktemp("without")], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_nothing_of_nnunet_is_imported(found):
    assert found["imported"] == []


@pytest.mark.parametrize("command", ["plan", "train", "train on automatic ROIs", "predict", "report"])
def test_what_draws_no_roi_works(found, command):
    status, last, _ = found["said"][command]
    assert status == 0, last


@pytest.mark.parametrize("command", ["segment", "predict without ROIs"])
def test_what_draws_one_names_the_extra_in_one_line(found, command):
    status, last, out = found["said"][command]
    assert (status, out) == (2, "")
    assert last[0].startswith("autodls: error: ") and EXTRA in last[0]
