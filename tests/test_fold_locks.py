"""Folds are trained at the same time in one workspace; what belongs to all of them waits, or is told."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from command_line import autodls, write_phantom, write_preset
from tiny_study import hashes

from autodls.errors import AutoDLSError
from autodls.records.lock import locked, locked_fold, shared
from autodls.records.segmentation import SegmentedCohort
from autodls.records.workspace import Workspace
from autodls.segmentation.run import throw_away

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = write_phantom(tmp_path_factory.mktemp("folds") / "study", cases=16)
    preset = write_preset(folder / "preset.json")
    assert autodls("plan", "-d", folder, "--preset", preset, "--device", "cpu").status == 0
    return folder


def begun(folder, fold):
    words = [sys.executable, "-m", "autodls", "train", "fold", str(fold), "-d", folder, "--workers", "1"]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_folds_at_once_in_one_workspace(planned):
    """`train fold 0` and `train fold 1` side by side, then all: nothing is trained twice, and the model is locked."""
    folds = [begun(planned, fold) for fold in (0, 1)]
    lock = planned / "autodls" / "folds" / ".lock-0"
    deadline = time.monotonic() + 120
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    refused = [autodls("train", "fold", "all", "-d", planned), autodls("plan", "-d", planned)]
    said = [fold.communicate(timeout=280) for fold in folds]
    assert [fold.returncode for fold in folds] == [0, 0], said
    for answer in refused:
        assert answer.status == 1 and "or a fold of it; wait for it" in answer.complaint
    made = json.loads((planned / "autodls" / "provenance.json").read_text())["commands"]["train"]["files"]
    assert {"folds/0/scores.csv", "folds/1/scores.csv"} <= made.keys()
    before = hashes(planned / "autodls" / "folds", "*.safetensors")
    assert len(before) == 6 and autodls("train", "fold", "all", "-d", planned).status == 0
    assert hashes(planned / "autodls" / "folds", "*.safetensors") == before


def test_two_folds_of_nnunet_at_once_in_one_workspace(segmented_study, tmp_path):
    """`segment fold 0` and `segment fold 1` side by side: weights, ROIs and record of one run after the other."""
    study = segmented_study.copy(tmp_path / "workspace")
    expected = everything_of(study)
    throw_away(study.run(), [0, 1])
    shutil.rmtree(study.workspace.auto_roi("x").parent)
    words = [sys.executable, "-m", "autodls", "segment", "fold"]
    place = ["-d", study.dataset, "-w", study.root, "--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folds = [
        subprocess.Popen(
            [*words, fold, *place], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for fold in "01"
    ]
    deadline = time.monotonic() + 120
    locks = [study.workspace.segmentation_lock(fold) for fold in (0, 1)]
    while not all(lock.exists() for lock in locks) and time.monotonic() < deadline:
        time.sleep(0.05)
    refused = autodls("segment", "fold", "all", *place)
    said = [fold.communicate(timeout=280) for fold in folds]
    assert [fold.returncode for fold in folds] == [0, 0], said
    assert refused.status == 1 and "or a fold of it; wait for it" in refused.complaint
    assert everything_of(study) == expected
    made = json.loads(study.workspace.provenance.read_text())["commands"]["segment"]["files"]
    assert len(SegmentedCohort.load(study.workspace.segmented, "").cases) == 12 and made


def everything_of(study):
    """Weights of nnU-Net, automatic ROIs and the record of them."""
    rois = hashes(study.workspace.auto_roi("x").parent, "*.nii.gz")
    return study.weights(), rois, SegmentedCohort.load(study.workspace.segmented, "")


class TestLocks:
    @pytest.fixture
    def place(self, tmp_path):
        return Workspace(tmp_path / "w")

    def test_folds_beside_each_other_and_nothing_else(self, place):
        with locked_fold(place, place.fold_lock(0), 0), locked_fold(place, place.fold_lock(1), 1):
            with pytest.raises(AutoDLSError, match="writing fold 1 of this workspace; wait for it"), again(place, 1):
                pass
            with pytest.raises(AutoDLSError, match="or a fold of it; wait for it"), locked(place):
                pass
        with (
            locked(place),
            pytest.raises(AutoDLSError, match="another autodls process is writing this"),
            again(place, 0),
        ):
            pass

    def test_a_fold_leaves_alone_what_another_is_writing(self, place):
        half = {fold: place.fold(fold).root / ".tmp-0123abcd-T1WI.safetensors" for fold in (0, 1)}
        for path in half.values():
            path.parent.mkdir(parents=True)
            path.write_bytes(b"half")
        with again(place, 0):
            assert [path.exists() for path in half.values()] == [False, True]

    def test_what_folds_share_is_waited_for(self, place):
        waited = []
        with again(place, 0), shared(place, lambda: waited.append(True)):
            assert not waited

    def test_a_folder_that_cannot_be_locked_is_held_by_its_file(self, place, monkeypatch):
        """NFS locks no folder: a lock is that of a file opened for writing."""
        import errno
        import fcntl
        import os
        import stat

        plain = fcntl.flock

        def as_nfs(handle, kind):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(errno.EBADF, "Bad file descriptor")
            plain(handle, kind)

        monkeypatch.setattr(fcntl, "flock", as_nfs)
        with locked(place), pytest.raises(AutoDLSError, match="another autodls process"), locked(place):
            pass


def again(place, fold):
    return locked_fold(place, place.fold_lock(fold), fold)
