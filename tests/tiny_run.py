"""A whole study through the command line in this process, with tiny networks: every file that users see, in seconds."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from command_line import PRESET, Answer, autodls, write_phantom
from tiny_study import use_tiny_resnet

QUICK = {"training.epochs": 2, "training.patience": 2}


@dataclass(frozen=True)
class TinyRun:
    """Its folders, and what each command answered."""

    root: Path
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def dataset(self):
        return self.root / "dataset"

    @property
    def workspace(self):
        return self.root / "workspace"

    @property
    def predicted(self):
        return self.root / "predicted"

    def run(self, name, *words):
        """Run a command on the dataset and the workspace; it must not fail by accident."""
        self.answers[name] = answer = autodls(*words)
        assert "Traceback" not in answer.err, answer.err
        return answer

    def place(self):
        return ("-d", self.dataset, "-w", self.workspace)

    def train(self, *, workers=1):
        preset = self.root / "preset.json"
        preset.write_text(json.dumps({**PRESET, "given": {**PRESET["given"], **QUICK}}))
        self.run("plan", "plan", *self.place(), "--preset", preset, "--workers", workers)
        self.run("train", "train", "fold", "all", *self.place(), "--workers", workers)

    def finish(self):
        """Everything after training; one of the held-out cases cannot be read."""
        inputs = ("-i", self.dataset / "imagesTr", "--rois", self.dataset / "labelsTr")
        self.run("predict", "predict", *self.place(), *inputs, "-o", self.predicted)
        self.run("evaluate", "evaluate", *self.place())
        self.run("explain", "explain", *self.place(), "--cases", "1")
        self.run("report", "report", *self.place())


def make_dataset(root, **settings):
    """A small phantom cohort in `root`/dataset; the image of one held-out case is damaged."""
    write_phantom(root / "dataset", **{"cases": 10, "external_cases": 3, **settings})
    damaged = root / "dataset" / "imagesTr" / "EX0002_0001.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    return TinyRun(root)


def with_tiny_networks(monkeypatch):
    """Networks that train in seconds."""
    use_tiny_resnet(monkeypatch)


def copy_of(run, root):
    """The same run in another place, to be changed."""
    shutil.copytree(run.root, root)
    return TinyRun(root)
