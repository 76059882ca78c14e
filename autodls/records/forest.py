"""Decision trees as text: a forest is numbers alone, which need no pickle."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SPLIT = re.compile(r"(\d{1,9})<=(\S+)", re.ASCII)
_LEAF = -1


@dataclass(frozen=True)
class Tree:
    """The nodes of a tree in preorder: `feature` (-1 of a leaf), `threshold`, where the `other` branch starts, `share`.

    A case whose feature is at most the threshold goes to the next node.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    other: tuple[int, ...]
    share: tuple[float, ...]

    def share_of(self, values: NDArray[np.float32]) -> float:
        """The share of positives in the leaf of a case, from its `values` [feature]."""
        at = 0
        while (feature := self.feature[at]) != _LEAF:
            at = at + 1 if float(values[feature]) <= self.threshold[at] else self.other[at]
        return self.share[at]


@lru_cache(maxsize=4096)
def read_tree(text: str) -> Tree:
    """Read a tree: a split as "FEATURE<=THRESHOLD", a leaf as the share of positives in it, in preorder.

    Raises ValueError for anything else.

    >>> read_tree("1<=0.5 0.25 0.75").share_of(np.array([9.0, 0.5], dtype=np.float32))
    0.25
    """
    words = text.split()
    feature, threshold = [_LEAF] * len(words), [0.0] * len(words)
    other, share = [0] * len(words), [0.0] * len(words)
    waiting: list[int] = []  # splits of which the other branch is still to come
    for at, word in enumerate(words):
        if split := _SPLIT.fullmatch(word):
            feature[at], threshold[at] = int(split[1]), _finite(split[2])
            waiting.append(at)
            continue
        share[at] = _finite(word)
        if not 0 <= share[at] <= 1:
            raise ValueError(f"a leaf of a tree holds {word}, expected a share from 0 to 1")
        if waiting:
            other[waiting.pop()] = at + 1
        elif at + 1 < len(words):
            raise ValueError(f"a tree ends at its word {at + 1} of {len(words)}")
        else:
            return Tree(tuple(feature), tuple(threshold), tuple(other), tuple(share))
    raise ValueError(f"a tree of {len(words)} words lacks {len(waiting) + 1} of its leaves")


def _finite(word: str) -> float:
    if not math.isfinite(number := float(word)):
        raise ValueError(f"a tree holds {word}, expected a number")
    return number


def share_of_trees(trees: tuple[str, ...], values: NDArray[np.float64]) -> float:
    """The mean share of positives over `trees`, for a case with these `values` [feature], in single precision."""
    single = np.asarray(values, dtype=np.float32)  # as the forest learned them
    return float(np.mean([read_tree(tree).share_of(single) for tree in trees]))
