"""Every command killed at random moments; see `benchmarks/kill_anywhere.py`, of which this is the short form."""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from killed_lives import files_end_at

from autodls.cli.console import exit_status_of
from autodls.errors import AutoDLSError, InputError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import write_volume
from autodls.records.files import remove_stale, write_atomically, write_text
from autodls.records.lock import locked, locked_output
from autodls.records.tensors import load_tensors, save_tensors
from autodls.records.workspace import Workspace

HARNESS = Path(__file__).parents[1] / "benchmarks" / "kill_anywhere.py"


@pytest.mark.parametrize("kills", [pytest.param(6, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_survives_kills(kills):
    """It ends with the bytes of an uninterrupted run, or the harness says on which file and after which kill not."""
    few = ("--quick", "--once", "--small-disks", "1", "--full-disks", "0")
    words = [sys.executable, str(HARNESS), "--kills", str(kills), "--seed", "3", *few]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(words, env=one_thread, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    tally = json.loads(done.stdout)
    assert tally["killed"] >= kills and ((tally["train: killed"] and tally["evaluate: killed"]) or kills < 20)
    assert tally.get("small disk: full") or tally["small disk: SKIPPED"]
    if "SKIPPED" in done.stderr:
        warnings.warn(done.stderr.splitlines()[-1], stacklevel=1)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "record.json"
    write_text(path, "old")
    return path


class TestDiskFull:
    """`write` fails in the middle; the harness does the same with RLIMIT_FSIZE, a limit of the operating system."""

    def test_the_file_that_was_there_stays(self, old):
        def fill(beside):
            beside.write_text("half")
            raise OSError(28, "No space left on device", str(beside))

        with pytest.raises(OSError, match="No space left"):
            write_atomically(old, fill)
        assert old.read_text() == "old" and list(old.parent.iterdir()) == [old]

    def test_weights_end_in_one_line(self, old, capsys):
        """safetensors has an error of its own for a disk that is full."""
        with files_end_at(1000):
            status = exit_status_of(lambda: save_tensors(old, {"weight": torch.zeros(10_000)}))
        assert status == 1 and "nothing half-written is left" in capsys.readouterr().err
        assert old.read_text() == "old" and list(old.parent.iterdir()) == [old]

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
    def test_half_an_image_is_no_image(self, tmp_path, capsys, ending):
        """ITK writes as much of a NIfTI file as there is room for, and reports no error."""
        path = tmp_path / f"mask{ending}"
        few, many = (
            Volume(
                np.random.default_rng(0).integers(0, 99, shape, dtype=np.uint8), Geometry(shape[::-1], (1.0, 1.0, 1.0))
            )
            for shape in ((2, 3, 4), (40, 50, 60))
        )
        write_volume(path, few)
        before = path.read_bytes()
        with files_end_at(20_000):
            status = exit_status_of(lambda: write_volume(path, many))
        assert status == 1 and "space left" in capsys.readouterr().err
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

    def test_with_room_the_same_weights_are_written(self, tmp_path):
        save_tensors(tmp_path / "w.safetensors", {"weight": torch.zeros(10_000)})
        assert load_tensors(tmp_path / "w.safetensors", "")[0]["weight"].shape == (10_000,)


class TestStaleFiles:
    NAME = ".tmp-0123abcd-plan.json"

    def test_the_next_process_removes_them(self, tmp_path):
        stale = tmp_path / "folds" / "0" / self.NAME
        write_text(stale, "half")
        with locked(Workspace(tmp_path)):
            assert not stale.exists()

    @pytest.mark.parametrize("name", [".tmp-mine", "tmp-0123abcd-plan.json", ".tmp-0123ABCD-x", "plan.json"])
    def test_files_of_others_stay(self, tmp_path, name):
        write_text(tmp_path / name, "theirs")
        remove_stale([tmp_path])
        assert (tmp_path / name).exists()

    def test_the_output_folder_of_predict_may_be_anybodys(self, tmp_path):
        ours, theirs = tmp_path / "rois" / self.NAME, tmp_path / "else" / self.NAME
        for path in (ours, theirs):
            write_text(path, "half")
        with locked_output(tmp_path):
            assert not ours.exists() and theirs.exists()


@pytest.mark.parametrize(
    ("hold", "option"), [(lambda root: locked(Workspace(root)), "-w"), (locked_output, "-o")], ids=["-w", "-o"]
)
def test_the_second_process_is_refused(tmp_path, hold, option):
    half = tmp_path / TestStaleFiles.NAME
    with hold(tmp_path):
        write_text(half, "of the first, which is still writing")
        with pytest.raises(AutoDLSError, match=f"another autodls process is writing .* give another {option}"):
            hold(tmp_path).__enter__()
        assert half.exists()
    with hold(tmp_path):
        assert not half.exists()


def test_weights_that_a_killed_process_was_writing_are_removed(tmp_path):
    """A file that grows beyond its limit ends the process, unless it asks otherwise, as Python does."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        with files_end_at(1000):
            save_tensors(tmp_path / "w.safetensors", {"weight": torch.zeros(10_000)})
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
    assert len(list(tmp_path.iterdir())) == 1
    remove_stale([tmp_path])
    assert not list(tmp_path.iterdir())


class TestLinkedFolders:
    """What a link points to is not ours: nothing is written through it, nothing there is taken for ours."""

    @pytest.fixture
    def victim(self, tmp_path):
        write_text(tmp_path / "victim" / TestStaleFiles.NAME, "theirs")
        return tmp_path / "victim"

    @pytest.mark.parametrize(
        ("hold", "name"),
        [(lambda root: locked(Workspace(root)), "folds"), (locked_output, "heatmaps"), (locked_output, "rois")],
    )
    def test_are_refused(self, tmp_path, victim, hold, name):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).symlink_to(victim)
        with pytest.raises(InputError, match=f"{name}: is a link .* replace it by a folder"):
            hold(tmp_path / "out").__enter__()
        assert (victim / TestStaleFiles.NAME).exists()

    def test_only_plain_files_are_removed(self, tmp_path, victim):
        out = tmp_path / "out"
        write_text(out / TestStaleFiles.NAME, "ours")
        (out / ".tmp-00000000-x").symlink_to(victim / TestStaleFiles.NAME)
        (out / "heatmaps").symlink_to(victim)
        remove_stale([out, out / "heatmaps"])
        assert not (out / TestStaleFiles.NAME).exists() and (out / ".tmp-00000000-x").is_symlink()
        assert (victim / TestStaleFiles.NAME).exists()
