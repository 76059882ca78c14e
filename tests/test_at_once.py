"""Folds trained in several processes give what they give one after the other."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tiny_study import hashes, study_plan, tiny_study, use_tiny_resnet

from autodls.errors import TrainingError
from autodls.training import cohort
from autodls.training.cohort import networks_at_once, shares_of, train_folds

SHORT = study_plan(epochs=1, fusion_epochs=1)
TRAIN_IN_PROCESS = cohort._train_in_process


def train_small(*arguments):
    """What a started process runs: it does not know of the networks that this one has exchanged."""
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_resnet(patch)
        TRAIN_IN_PROCESS(*arguments)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    use_tiny_resnet(monkeypatch)
    monkeypatch.setattr(cohort, "_train_in_process", train_small)


def train(study, at_once):
    seen = []
    places = (study.workspace, study.cases, study.plan, study.splits, (0, 1))
    train_folds(*places, lambda fold, epoch: seen.append((fold, epoch.stage, epoch.epoch)), at_once)
    return seen


@pytest.mark.long
def test_folds_trained_at_once_give_the_same_bytes_and_report_every_epoch(tmp_path):
    alone, together = (tiny_study(tmp_path / name, SHORT) for name in ("alone", "together"))
    expected = train(alone, 1)
    assert sorted(train(together, 2)) == sorted(expected)
    assert len(expected) == 6
    assert hashes(together.workspace.root / "folds") == hashes(alone.workspace.root / "folds")


@pytest.mark.slow
def test_failure_of_a_fold_is_told(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(epochs=1, fusion_epochs=1, learning_rate=1e30, batch_size=2))
    with pytest.raises(TrainingError, match="is not finite"):
        train(study, 2)


@pytest.mark.parametrize(
    ("device", "memory_gib", "cohort_gib", "expected"),
    [
        ("cpu", 64.0, 1.0, 1),
        ("cuda", 80.0, 1.0, 5),
        ("cuda", 2.2, 0.0, 3),
        ("cuda", 2.2, 0.5, 2),
        ("cuda", 1.0, 0.0, 1),
    ],
)
def test_number_of_networks_at_once(device, memory_gib, cohort_gib, expected):
    """A ResNet-50 at 32 px takes 0.36 GiB and the context of CUDA 0.5, of 80 % of the memory."""
    budget = SHORT.budget.model_copy(update={"device": device, "memory_gib": memory_gib})
    plan = SHORT.model_copy(update={"budget": budget})
    assert networks_at_once(plan, cohort_gib) == expected


@pytest.mark.parametrize(
    ("gpus", "at_once", "expected"),
    [
        (0, None, [("cpu", (0, 1, 2))]),
        (0, 2, [("cpu", (0, 2)), ("cpu", (1,))]),
        (1, 4, [("cuda:0", (0, 1, 2))]),
        (2, None, [("cuda:0", (0, 2)), ("cuda:1", (1,))]),
        (8, 1, [("cuda:0", (0,)), ("cuda:1", (1,)), ("cuda:2", (2,))]),
    ],
)
def test_every_gpu_trains_some_of_the_folds(gpus, at_once, expected):
    assert [(share.device, share.folds) for share in shares_of((0, 1, 2), gpus, at_once)] == expected


WORK = """
import time
def work(path):
    for second in range(600):
        open(path, "a").write(".")
        time.sleep(0.05)
"""
CHILD = """
import os, sys
from autodls.cli.console import exit_status_of
from autodls.parallel import map_parallel, no_advance
from its_work import work
open(os.path.join(os.path.dirname(sys.argv[1]), "begun"), "w").close()
sys.exit(exit_status_of(lambda: map_parallel(work, sys.argv[1:], sys.argv[1:], 2, no_advance)))
"""


def started(folder):
    """A command with two workers, each of which writes a file for half a minute, in a process group of its own."""
    script, files = folder / "child.py", [folder / "a", folder / "b"]
    (folder / "its_work.py").write_text(WORK)
    script.write_text(CHILD)
    words = [sys.executable, script, *files]
    return subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, text=True), files


def wait_for(*paths):
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in paths) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_workers_of_a_killed_command_stop_too(tmp_path):
    child, files = started(tmp_path)
    wait_for(*files)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(0.5)
    before = [path.stat().st_size for path in files]
    time.sleep(0.5)
    assert [path.stat().st_size for path in files] == before


@pytest.mark.parametrize("moment", ["its workers start", "its workers work"])
def test_ctrl_c_ends_a_command_and_its_workers_at_once_with_one_line(tmp_path, moment):
    """A terminal sends it to the whole process group."""
    child, files = started(tmp_path)
    wait_for(*([tmp_path / "begun"] if moment == "its workers start" else files))
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=15)  # waits for the workers too: they hold the same pipe
    assert child.returncode == 130
    assert said == "autodls: stopped; run the same command again to continue where it was\n"
