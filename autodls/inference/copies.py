"""Cases that were scored from copies: one sequence that stands in for another, or one file under two case ids."""

from collections import defaultdict
from collections.abc import Mapping

from autodls.inference.prediction import Prediction


def with_copies_flagged(prediction: Prediction) -> Prediction:
    """The same scores; a flag says which images are, byte by byte, those of another sequence or of another case."""
    flags = _flags(prediction.inputs)
    cases = tuple(
        score.model_copy(update={"flags": (*score.flags, *flags.get(score.case, ()))}) for score in prediction.cases
    )
    return prediction.model_copy(update={"cases": cases})


def _flags(inputs: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """By case; ROIs may be the same, as two exports of one patient have them."""
    places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for case, files in inputs.items():
        for name, digest in files.items():
            if name != "roi":
                places[digest].append((case, name))
    flags: defaultdict[str, list[str]] = defaultdict(list)
    pairs = ((one, other) for same in places.values() for one in same for other in same if one != other)
    for (case, name), (other, copied) in pairs:
        if other != case:
            flags[case].append(f"{name} is the same file as {copied} of case {other}")
        elif name < copied:
            flags[case].append(f"{name} and {copied} are the same file")
    return flags
