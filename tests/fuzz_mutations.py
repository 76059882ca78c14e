"""One way to break an input, with what is allowed to follow from it."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Chance = np.random.Generator

REFUSED = frozenset({"refused"})
SOUND = frozenset({"refused", "same"})  # found out, or without any effect
LOUD = frozenset({"refused", "told"})  # found out, or named in a warning
ANY = frozenset({"refused", "same", "told", "changed"})  # may be another valid input: no traceback, hang or bomb


@dataclass(frozen=True)
class Mutation:
    """`apply(path, chance)` breaks the file `path`; `allowed` are the outcomes that are right then."""

    name: str
    apply: Callable[[Path, Chance], object]
    allowed: frozenset[str]


def rewrite(path, content):
    """Put `content` in the place of `path`, which may be a hard link to a file that others use."""
    path.unlink()
    path.write_bytes(content)


def on_bytes(change):
    """A mutation of the bytes of a file: `change(content, chance)` returns the new ones."""
    return lambda path, chance: rewrite(path, bytes(change(bytearray(path.read_bytes()), chance)))


def on_stream(change):
    """The same of what a .gz holds, packed again with a valid checksum; of the file itself where it is not packed."""

    def apply(path, chance):
        packed = path.name.endswith(".gz")
        content = path.read_bytes()
        changed = bytes(change(bytearray(gzip.decompress(content) if packed else content), chance))
        rewrite(path, gzip.compress(changed, 1, mtime=0) if packed else changed)

    return apply


def on_text(change):
    """A mutation of a text file."""
    return on_bytes(lambda content, chance: change(content.decode(), chance).encode())


def cut(content, chance):
    """Drop the end, at a random place."""
    return content[: int(chance.integers(len(content)))]


def flip_bit(content, chance, start=0, stop=None):
    """Turn one bit."""
    place = int(chance.integers(start, stop or len(content)))
    content[place] ^= 1 << int(chance.integers(8))
    return content


def burst(content, chance):
    """Overwrite up to 64 bytes with noise."""
    start = int(chance.integers(len(content)))
    count = min(int(chance.integers(1, 65)), len(content) - start)
    content[start : start + count] = chance.bytes(count)
    return content


def drop_bytes(content, chance):
    """Take out up to 64 bytes in the middle."""
    start = int(chance.integers(len(content)))
    del content[start : start + int(chance.integers(1, 65))]
    return content


def repeat_bytes(content, chance):
    """Write a piece of the file twice."""
    start = int(chance.integers(len(content) - 1))
    piece = content[start : start + int(chance.integers(1, 65))]
    return content[:start] + piece + content[start:]


def noise(_content, chance):
    """Random bytes instead of the file."""
    return chance.bytes(int(chance.integers(0, 5000)))


def choose(chance, options):
    """One of `options`."""
    return options[int(chance.integers(len(options)))]
