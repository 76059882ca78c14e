"""Encoders that are read as they are used: the next ones in threads meanwhile, none kept."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from autodls.models.folded import FoldedEncoder

_AHEAD = 2  # hashing and unpacking are bound by a core each; more would compete with the networks


class ReadAhead:
    """`count` encoders, taken one after the other as often as wanted.

    `read(place)` runs in a thread, for the first places from the start, then for those that follow the one in use.
    """

    def __init__(self, read: Callable[[int], FoldedEncoder], count: int) -> None:
        self._read, self._count = read, count
        self._pool = ThreadPoolExecutor(_AHEAD)
        self._pending: dict[int, Future[FoldedEncoder]] = {}
        self._start_reading(0)

    def take(self, place: int) -> FoldedEncoder:
        """The encoder at `place`; raises what `read` raises."""
        self._start_reading(place)
        encoder = self._pending.pop(place).result()
        self._start_reading(place + 1)
        return encoder

    def _start_reading(self, first: int) -> None:
        for place in range(first, min(first + _AHEAD, self._count)):
            if place not in self._pending:
                self._pending[place] = self._pool.submit(self._read, place)


class Streamed(Mapping[str, FoldedEncoder]):
    """The encoders of one fold by sequence; each look-up takes it from `ahead` anew."""

    def __init__(self, ahead: ReadAhead, places: Mapping[str, int]) -> None:
        self._ahead, self._places = ahead, places

    def __getitem__(self, sequence: str) -> FoldedEncoder:
        return self._ahead.take(self._places[sequence])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
