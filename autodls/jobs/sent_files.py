"""Files that travel to machines which share no folder with this one."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.records.files import write_bytes


@dataclass(frozen=True)
class SentFiles:
    """Files as bytes, by their name below a folder; machines read them where Ray has put them, without a copy."""

    content: Mapping[str, NDArray[np.uint8]]

    @classmethod
    def of(cls, files: Mapping[str, Path]) -> "SentFiles":
        """Those of `files`, by the name that they are to have; raises OSError where one cannot be read."""
        return cls({name: np.fromfile(path, np.uint8) for name, path in files.items()})

    @classmethod
    def readable(cls, files: Mapping[str, Path]) -> "SentFiles":
        """The same of those that can be read; whoever wants another says so when he opens it."""
        found: dict[str, NDArray[np.uint8]] = {}
        for name, path in files.items():
            with suppress(OSError):
                found[name] = np.fromfile(path, np.uint8)
        return cls(found)

    @classmethod
    def below(cls, root: Path, paths: Iterable[Path]) -> "SentFiles":
        """Files `paths` of folder `root`, by their names in it."""
        return cls.of({path.relative_to(root).as_posix(): path for path in sorted(paths)})

    def write(self, root: Path, wanted: Callable[[str], bool] = lambda _name: True) -> None:
        """Write those whose names are `wanted` below `root`."""
        for name, content in self.content.items():
            if wanted(name):
                write_bytes(root / name, content.tobytes())
