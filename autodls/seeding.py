"""Chance comes in by the door: every random stream is named, none is global.

A stream depends only on the plan's seed and its own name, so results do not depend on the order in which folds or
cases are worked on, nor on the number of workers.
"""

import hashlib

import numpy as np


def stream_seed(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream `name`.

    >>> stream_seed(0, "fold", 1) == stream_seed(0, "fold", 1)
    True
    >>> stream_seed(0, "fold", 1) == stream_seed(0, "fold", 2)
    False
    """
    text = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *name: str | int) -> np.random.Generator:
    """A NumPy generator for the stream `name`."""
    return np.random.default_rng(stream_seed(seed, *name))
