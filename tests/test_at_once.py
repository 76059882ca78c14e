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
from autodls.training.cohort import folds_at_once, train_folds

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


def test_folds_trained_at_once_give_the_same_bytes_and_report_every_epoch(tmp_path):
    alone, together = (tiny_study(tmp_path / name, SHORT) for name in ("alone", "together"))
    expected = train(alone, 1)
    assert sorted(train(together, 2)) == sorted(expected)
    assert len(expected) == 6
    assert hashes(together.workspace.root / "folds") == hashes(alone.workspace.root / "folds")


def test_failure_of_a_fold_is_told(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(epochs=1, fusion_epochs=1, learning_rate=1e30, batch_size=2))
    with pytest.raises(TrainingError, match="is not finite"):
        train(study, 2)


@pytest.mark.parametrize(
    ("device", "memory_gib", "expected"), [("cpu", 64.0, 1), ("cuda", 80.0, 8), ("cuda", 10.0, 1), ("cuda", 8.0, 1)]
)
def test_number_of_folds_at_once(device, memory_gib, expected):
    budget = SHORT.budget.model_copy(update={"device": device, "memory_gib": memory_gib, "predicted_memory_gib": 8.0})
    assert folds_at_once(SHORT.model_copy(update={"budget": budget})) == expected


CHILD = """
import sys, time
from autodls.parallel import map_parallel, no_advance
def work(path):
    for second in range(600):
        open(path, "a").write(".")
        time.sleep(0.05)
if __name__ == "__main__":
    map_parallel(work, sys.argv[1:], sys.argv[1:], 2, no_advance)
"""


def test_workers_of_a_killed_command_stop_too(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    files = [tmp_path / "a", tmp_path / "b"]
    child = subprocess.Popen([sys.executable, script, *files])
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(0.5)
    before = [path.stat().st_size for path in files]
    time.sleep(0.5)
    assert [path.stat().st_size for path in files] == before
