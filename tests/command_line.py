"""The command line as a person uses it, but in this process: its exit status, and what it says on which stream."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from autodls.cli.app import main
from autodls.phantom.cohort import PhantomSettings, write_cohort

SEQUENCES = ("T2WI", "CE-T1WI")
PRESET: dict[str, Any] = {
    "name": "test",
    "given": {
        "preprocessing.input_size_px": 32,
        "network.encoder": "resnet50",
        "network.encoder_weights": "random",
        "training.folds": 2,
        "training.batch_size": 8,
        "training.epochs": 1,
        "training.patience": 1,
        "training.fusion_epochs": 2,
    },
}


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def complaint(self):
        """The one line that says what is wrong; fails unless it is the only one and the last."""
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("autodls: error: ")]
        assert len(errors) == 1 and lines[-1] == errors[0], self.err
        assert "Traceback" not in self.out + self.err
        return errors[0]


def autodls(*words):
    """Run `autodls WORDS...`."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["autodls", *map(str, words)]
    with (
        mock.patch.object(sys, "argv", arguments),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as leave:
            return Answer(leave.code, out.getvalue(), err.getvalue())
    raise AssertionError("main() returned; it always leaves by SystemExit")


def write_preset(path):
    """A preset with which training takes seconds."""
    path.write_text(json.dumps(PRESET))
    return path


def write_phantom(folder, **settings):
    """A phantom cohort of few voxels and two sequences; T1WI is taken out, as every network takes seconds."""
    write_cohort(folder, PhantomSettings(matrix_factor=0.3, **settings))
    images = folder / "imagesTr"
    for path in images.glob("*_0000.nii.gz"):
        path.unlink()
    for path in sorted(images.iterdir()):
        case, _, channel = path.name.removesuffix(".nii.gz").rpartition("_")
        path.rename(images / f"{case}_{int(channel) - 1:04d}.nii.gz")
    edit_json(folder / "dataset.json", channel_names=dict(zip("01", SEQUENCES, strict=True)))
    return folder


def edit_json(path, **changes):
    """Change values of a JSON file; `a__b=value` changes `b` inside `a`, and None takes a key out."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split("__")
        inner = content
        for key in outer:
            inner = inner[key]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    path.write_text(json.dumps(content, indent=1))


def edit_text(path, old, new):
    """Replace the first `old` of a text file; fails when there is none."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def snapshot(folder: Path, skip=()):
    """Bytes of every file below `folder`, by name; of weights, which are large, when and where they were written."""
    return {
        path.relative_to(folder).as_posix(): (
            (path.stat().st_mtime_ns, path.stat().st_ino) if path.stat().st_size > 1 << 20 else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skip
    }
