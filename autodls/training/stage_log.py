"""The log of a fold: one JSON object an epoch, and one after the epochs of a stage."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from autodls.records.files import write_text
from autodls.records.training_log import Epoch, Judgement, LogLine, log_lines, logged_stages


class StageLog:
    """Epochs and judgements in `path`, one JSON object a line.

    A fit that continues repeats the epochs after its last saved state; their lines are replaced, so each epoch of a
    stage stands in the log once, and a judgement only of all its epochs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, epoch: Epoch) -> None:
        """Append `epoch`, in the place of what an interrupted run wrote from there on."""
        kept = [
            line
            for line in log_lines(self.path)
            if line.stage != epoch.stage or (isinstance(line, Epoch) and line.epoch < epoch.epoch)
        ]
        self._write([*kept, epoch])

    def put(self, epochs: Sequence[Epoch], order: Sequence[str]) -> None:
        """Put all `epochs` of a stage in the place of what there is of it, the stages in `order`."""
        there = {stage.stage: list[LogLine](stage.epochs) for stage in logged_stages(log_lines(self.path))}
        there |= {epoch.stage: list[LogLine](epochs) for epoch in epochs}
        self._write([line for stage in order for line in there.get(stage, [])])

    def judge(self, judgements: Mapping[str, Judgement]) -> None:
        """Put the judgement of each stage after its epochs, in the place of an earlier one."""
        parts = [
            (*stage.epochs, judgements.get(stage.stage, stage.judgement))
            for stage in logged_stages(log_lines(self.path))
        ]
        self._write([line for lines in parts for line in lines if line is not None])

    def keep_only(self, stages: Collection[str]) -> None:
        """Remove the lines of all other stages."""
        lines = list(log_lines(self.path))
        kept = [line for line in lines if line.stage in stages]
        if len(kept) < len(lines):
            self._write(kept)

    def take(self, other: Path, stage: str) -> None:
        """Put the epochs of `stage` that the log `other` holds in the place of our own of it."""
        ours = [line for line in log_lines(self.path) if line.stage != stage]
        self._write([*ours, *(line for line in log_lines(other) if line.stage == stage)])

    def _write(self, lines: Sequence[LogLine]) -> None:
        write_text(self.path, "".join(f"{json.dumps(line.model_dump())}\n" for line in lines))


def logged(path: Path, report: Callable[[Epoch], None]) -> Callable[[Epoch], None]:
    """`report`, told of each epoch once it stands in the log `path`."""
    log = StageLog(path)

    def note(epoch: Epoch) -> None:
        log.add(epoch)
        report(epoch)

    return note
