"""Finished scores on disk as they come, so that a killed run loses none of them."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from autodls import __version__
from autodls.errors import AutoDLSError
from autodls.inference.inputs import InputCase
from autodls.inference.prediction import CaseScore
from autodls.limits import MOST_JSON_BYTES
from autodls.records.base import Record, parse_json
from autodls.records.files import read_bounded, sha256_where_readable, write_bytes

if TYPE_CHECKING:
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.rois import RoiSource


class FinishedScore(Record):
    """One line of a log: a score, and what it depends on besides the case id and the kind of ROI that it names."""

    version: str
    model_sha256: str
    computed_in: str
    inputs: dict[str, str]
    unused: dict[str, str]
    told: tuple[str, ...] = ()
    score: CaseScore


class ScoreLog:
    """Scores of a run that are finished, in the file `path`, one JSON object a line; first those of an earlier run.

    An earlier score counts where it has the same version, model, device, type of number, kind of ROI, and bytes of
    images and ROI, and says of the model what is to be said of it now. Other lines are taken out when the log is
    opened: those of another model, and one that a killed run left half-written. Failures are not kept: they are soon
    had again, and may have been repaired meanwhile.
    """

    def __init__(self, path: Path, model: "LockedModel") -> None:
        self.path = path
        self._said = set(model.caveats)
        self._made_by = {"version": __version__, "model_sha256": model.sha256, "computed_in": model.computed_in}
        self._known = {line.score.case: line for line in finished_scores(path) if self._fits(line)}
        if os.path.lexists(path):
            write_bytes(path, b"".join(map(_as_bytes, self._known.values())))

    def _fits(self, line: FinishedScore) -> bool:
        made_by_same = all(getattr(line, name) == value for name, value in self._made_by.items())
        return made_by_same and self._said <= set(line.score.flags)

    def find(self, case: InputCase, rois: "RoiSource") -> FinishedScore | None:
        """What an earlier run made of `case`; None where it made no score, or from other files."""
        held = self._known.get(case.id)
        if held is None or (held.score.rois, held.unused, held.told) != (rois.kind, case.unused, case.told):
            return None
        roi, expected = case.roi, held.inputs
        if rois.kind == "auto":
            roi = rois.place(case.id) if rois.place is not None else None
            expected = {**held.inputs, "roi": held.score.mask_sha256 or "unknown"}
        files = {**case.images, **({"roi": roi} if roi is not None else {})}
        return held if {name: sha256_where_readable(path) for name, path in files.items()} == expected else None

    def keep(self, finished: Iterable[tuple[InputCase, Mapping[str, str], CaseScore]]) -> None:
        """Append scores, each with its case and the SHA-256 of its inputs, and wait until the disk has them."""
        self._append(
            [
                FinishedScore(
                    **self._made_by, inputs=dict(inputs), unused=dict(case.unused), told=case.told, score=score
                )
                for case, inputs, score in finished
            ]
        )

    def take(self, lines: Sequence[FinishedScore]) -> None:
        """Append what the log of another machine holds; raises AutoDLSError for what this run would not have made."""
        if strange := next((line for line in lines if not self._fits(line)), None):
            found = (f"AutoDLS {strange.version}", f"model {strange.model_sha256[:8]}", strange.computed_in)
            own = (f"AutoDLS {__version__}", f"model {self._made_by['model_sha256'][:8]}", self._made_by["computed_in"])
            raise AutoDLSError(
                f"case {strange.score.case}: scored by {', '.join(found)} on a machine of the cluster, expected "
                f"{', '.join(own)}; give all machines the same version and kind of processor, and leave the model "
                "folder alone meanwhile"
            )
        self._append(lines)

    def _append(self, lines: Sequence[FinishedScore]) -> None:
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as handle:
            handle.write(b"".join(map(_as_bytes, lines)))
            handle.flush()
            os.fsync(handle.fileno())

    def remove(self) -> None:
        """All scores stand in the record of the run: the log has served."""
        self.path.unlink(missing_ok=True)


def _as_bytes(line: FinishedScore) -> bytes:
    return json.dumps(line.model_dump(mode="json")).encode() + b"\n"


def finished_scores(path: Path) -> Iterator[FinishedScore]:
    """The lines of the log `path` that can be read; none where there is no such file."""
    with suppress(OSError):
        yield from scores_in(read_bounded(path, MOST_JSON_BYTES))


def scores_in(content: bytes) -> Iterator[FinishedScore]:
    """The same of the bytes of a log."""
    for line in content.split(b"\n"):
        with suppress(ValueError, RecursionError):
            yield FinishedScore.model_validate(parse_json(line.decode()))
