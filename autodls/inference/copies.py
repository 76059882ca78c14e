"""Cases that were scored from copies: one sequence that stands in for another, or one file under two case ids."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations

from autodls.inference.prediction import Prediction


def with_copies_flagged(prediction: Prediction) -> Prediction:
    """The same scores; a flag says which images are, byte by byte, those of another sequence or of another case."""
    flags = _flags(prediction.inputs)
    cases = tuple(
        score.model_copy(update={"flags": (*score.flags, *flags.get(score.case, ()))}) for score in prediction.cases
    )
    return prediction.model_copy(update={"cases": cases})


def _flags(inputs: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """By case, another one that has the same file; ROIs may be the same, as two exports of one patient have them."""
    places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for case, files in inputs.items():
        for name, digest in files.items():
            if name != "roi":
                places[digest].append((case, name))
    flags: defaultdict[str, list[str]] = defaultdict(list)
    for same in places.values():
        names: defaultdict[str, list[str]] = defaultdict(list)
        for case, name in same:
            names[case].append(name)
        for case, own in names.items():
            flags[case] += [f"{one} and {other} are the same file" for one, other in combinations(sorted(own), 2)]
            if len(names) == 1:
                continue
            other = next(name for name in names if name != case)
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            flags[case] += [f"{name} is the same file as {names[other][0]} of case {other}{more}" for name in own]
    return flags
