"""The one door to TensorBoard: an event file a network, which holds no name of a machine and no date.

The same log gives the same bytes, and those of a log that has grown begin with those of before: what is new is added,
so that a TensorBoard that looks at the file goes on, and a call that was killed is made good by the next one.
"""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.limits import MOST_FILE_BYTES
from autodls.records.files import read_bounded, remove_stale, require_held, write_bytes
from autodls.tracking.curves import Curve

EVENTS = "events.out.tfevents.0.autodls"
"""TensorBoard looks for files whose name has "tfevents"; its own names hold the second and the machine."""
_OURS = "autodls"


def require_tensorboard() -> None:
    """Raise ArgumentError where the package of the extra is not installed."""
    if find_spec("tensorboard") is None:
        raise ArgumentError(
            "--tensorboard: the Python package tensorboard is not installed; pip install 'autodls[tracking]'"
        )


def write_events(folder: Path, curve: Curve) -> int:
    """Bring the event file of a curve in `folder`, which is held, up to its log; the number of bytes that are new.

    What a killed call has left half-written there is removed.

    Raises ArgumentError where the file that is there is none of ours.
    """
    path, content = folder / curve.name / EVENTS, _events(curve)
    remove_stale([path.parent])
    there = _there(path)
    if content == there:
        return 0
    if there and content.startswith(there):
        require_held(path)
        with path.open("ab") as handle:
            handle.write(content[len(there) :])
    else:
        write_bytes(path, content)  # trained anew, or continued from an earlier epoch
    return len(content) - len(there)


def _there(path: Path) -> bytes:
    if path.is_symlink() or not path.exists():
        if path.is_symlink():
            raise ArgumentError(f"--tensorboard: {path}: is a link; remove it, or give another folder")
        return b""
    try:
        content = read_bounded(path, MOST_FILE_BYTES)
    except OSError as failure:
        raise ArgumentError(
            f"--tensorboard: {path}: cannot be read ({failure.strerror}); give another folder"
        ) from None
    head = _events(Curve("", ()))
    if not head.startswith(content[: len(head)]):
        raise ArgumentError(f"--tensorboard: {path}: was not written by autodls track; give another folder")
    return content


def _events(curve: Curve) -> bytes:
    """The file as TensorBoard reads it; times are seconds of training."""
    from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    content = BytesIO()
    writer = RecordWriter(content)
    first = Event(wall_time=0, file_version="brain.Event:2", source_metadata=SourceMetadata(writer=_OURS))
    writer.write(first.SerializeToString(deterministic=True))
    for point in curve.points:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
        event = Event(wall_time=point.seconds, step=point.epoch, summary=Summary(value=values))
        writer.write(event.SerializeToString(deterministic=True))
    return content.getvalue()
