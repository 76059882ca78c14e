"""The log of a fold: one JSON object an epoch."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from autodls.records.base import parse_json
from autodls.records.files import write_text
from autodls.training.fit_state import Epoch


class StageLog:
    """Epochs in `path`, one JSON object a line.

    A fit that continues repeats the epochs after its last saved state; their lines are replaced, so each epoch of a
    stage stands in the log once. Lines of a damaged file that are no epochs are left out: nothing is derived from them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, epoch: Epoch) -> None:
        """Append `epoch`, in the place of what an interrupted run wrote from there on."""
        kept = [before for before in self._epochs() if before.stage != epoch.stage or before.epoch < epoch.epoch]
        lines = [json.dumps(one.model_dump()) for one in (*kept, epoch)]
        write_text(self.path, "\n".join(lines) + "\n")

    def _epochs(self) -> Iterator[Epoch]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                yield Epoch.model_validate(parse_json(line))
