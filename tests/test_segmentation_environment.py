"""The door to nnU-Net: its environment, its output, and its absence."""

import logging
import os
import subprocess
import sys
import warnings

import pytest

from autodls.errors import ArgumentError
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.segmentation.environment import nnunet, require_nnunet

MINE = {"nnUNet_raw": "/mine", "nnUNet_extTrainer": "/mine/trainers"}


@pytest.fixture
def without_nnunet(monkeypatch):
    monkeypatch.setitem(sys.modules, "nnunetv2", None)


@pytest.fixture
def with_nnunet():
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")


def test_absence_is_one_line_that_says_how_to_install_it(without_nnunet):
    with pytest.raises(ArgumentError, match=r"pip install 'autodls\[segmentation\]'") as caught:
        require_nnunet()
    assert "\n" not in str(caught.value) and caught.value.exit_status == 2
    with pytest.raises(ArgumentError), nnunet(None):
        raise AssertionError("not reached")


def test_environment_is_ours_inside_and_the_users_afterwards(with_nnunet, monkeypatch, tmp_path):
    for name, value in MINE.items():
        monkeypatch.setenv(name, value)
    before, folder = dict(os.environ), SegmentationFolder(tmp_path)
    with pytest.raises(RuntimeError, match="inside"), nnunet(folder, augmenters=3):
        inside = {name: value for name, value in os.environ.items() if name.startswith("nnUNet_")}
        assert inside["nnUNet_raw"] == str(folder.raw)
        assert inside["nnUNet_n_proc_DA"] == "3" and inside["nnUNet_compile"] == "f"
        assert "nnUNet_extTrainer" not in inside
        raise RuntimeError("inside")
    assert dict(os.environ) == before


def test_whatever_is_said_goes_to_the_log(with_nnunet, tmp_path, capfd):
    folder = SegmentationFolder(tmp_path)
    with nnunet(folder):
        sys.stdout.write("printed\n")
        os.write(1, b"written to the descriptor\n")
        subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
        logging.getLogger("nnunet").warning("logged")
        warnings.warn("warned", stacklevel=1)
    sys.stdout.write("afterwards\n")
    out, err = capfd.readouterr()
    assert out == "afterwards\n" and err == ""
    said = folder.log.read_text()
    assert all(word in said for word in ("printed", "written to", "by a child", "logged", "warned"))
