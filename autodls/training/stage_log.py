"""The log of a fold: one JSON object an epoch."""

import json
from pathlib import Path

from autodls.records.files import write_text
from autodls.training.fit_state import Epoch


class StageLog:
    """Epochs in `path`, one JSON object a line.

    A fit that continues repeats the epochs after its last saved state; their lines are replaced, so each epoch of a
    stage stands in the log once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, epoch: Epoch) -> None:
        """Append `epoch`, in the place of what an interrupted run wrote from there on."""
        kept = [line for line in self._lines() if not _supersedes(epoch, line)]
        kept.append(json.dumps(epoch.model_dump()))
        write_text(self.path, "\n".join(kept) + "\n")

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []


def _supersedes(epoch: Epoch, line: str) -> bool:
    before = json.loads(line)
    return bool(before["stage"] == epoch.stage and before["epoch"] >= epoch.epoch)
