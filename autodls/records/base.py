"""The common parent of everything written as JSON."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from autodls.errors import InputError, PlanError
from autodls.limits import MOST_JSON_BYTES, MOST_JSON_VALUES
from autodls.records.files import read_bounded, sha256_of_bytes, write_bytes

VALUE_ERROR = "Value error, "  # what pydantic puts before the message of a ValueError
_BEFORE_A_VALUE = "[{,"  # there are no more values than these
_MOST_TOLD_SIGNS = 300
_HALF_A_SIGN = re.compile(r"\\u[dD][89a-fA-F]")  # escapes that may name half of a surrogate pair


class Record(BaseModel):
    """A frozen JSON record that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """The bytes that `save` writes: indented JSON in field order, ending in a line end."""
        return json_bytes(self.model_dump(mode="json"))

    def sha256(self) -> str:
        """SHA-256 of `to_bytes()`, which is also that of the saved file."""
        return sha256_of_bytes(self.to_bytes())

    def save(self, path: Path) -> None:
        """Write the record to `path` atomically."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path, repair: str, error: type[InputError] = PlanError) -> Self:
        """Read the record from `path`.

        Raises `error`, whose message ends in `repair`, when the file is missing or not a valid record.
        """
        return cls.load_hashed(path, repair, error)[0]

    @classmethod
    def load_hashed(cls, path: Path, repair: str, error: type[InputError] = PlanError) -> tuple[Self, str]:
        """The record and the SHA-256 of the very bytes that it was read from; raises as `load`."""
        content, sha256 = read_json_hashed(path, repair, error)
        return cls.parse(content, str(path), repair, error), sha256

    @classmethod
    def parse(cls, content: object, where: str, repair: str, error: type[InputError] = PlanError) -> Self:
        """Validate `content`, read from `where`; raises `error` with one line that names the first wrong field."""
        try:
            return cls.model_validate(content)
        except ValidationError as failure:
            raise error(f"{where}: {first_fault(failure)}; {repair}") from None


def json_bytes(content: dict[str, Any]) -> bytes:
    """Indented JSON in the order of `content`, ending in a line end."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def first_fault(failure: ValidationError) -> str:
    """One line for the first of the faults that pydantic found."""
    faults = failure.errors(include_url=False)
    field = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    what = shortened(faults[0]["msg"].removeprefix(VALUE_ERROR), _MOST_TOLD_SIGNS)
    if not field and faults[0]["type"] == "value_error":  # fields that do not go together: the message names them
        return f"{what}{more}"
    field, found = field or "record", shortened(repr(faults[0].get("input")), 60)
    return f"field '{shortened(field, 100)}': {what}, found {found}{more}"


def shortened(text: str, most: int) -> str:
    """`text`, cut to `most` signs: what a file holds must not fill a terminal.

    >>> shortened("abcdefgh", 6)
    'abc...'
    """
    return text if len(text) <= most else text[: most - 3] + "..."


def some_of(names: Iterable[str], most: int = 10) -> str:
    """Names in one line, the first `most` of them.

    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(shortened(name, 100) for name in known[:most]) + more


def read_json(path: Path, repair: str, error: type[InputError]) -> object:
    """Parse the JSON file `path`; raises `error`, ending in `repair`, when it is missing, broken or ambiguous."""
    return read_json_hashed(path, repair, error)[0]


def read_json_hashed(path: Path, repair: str, error: type[InputError]) -> tuple[object, str]:
    """The same, and the SHA-256 of the very bytes that were parsed."""
    try:
        content = read_bounded(path, MOST_JSON_BYTES)
        return parse_json(content.decode("utf-8-sig")), sha256_of_bytes(content)
    except FileNotFoundError:
        raise error(f"{path}: no such file; {repair}") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror}); {repair}") from None
    except (ValueError, RecursionError) as failure:
        raise error(f"{path}: not valid JSON ({failure}); {repair}") from None


def parse_json(text: str) -> Any:
    """Parse JSON (RFC 8259), and refuse what readers understand differently.

    Raises ValueError for a key that stands twice, a number that is no finite float, half of a surrogate pair, and more
    values than may be; RecursionError for deep nesting.

    >>> parse_json('{"cutoff": 0.5, "cutoff": 0.1}')
    Traceback (most recent call last):
        ...
    ValueError: key 'cutoff' stands twice in one object
    """
    if sum(map(text.count, _BEFORE_A_VALUE)) > MOST_JSON_VALUES:
        raise ValueError(f"it holds more than {MOST_JSON_VALUES} values")
    content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)
    if _HALF_A_SIGN.search(text):
        json.dumps(content, ensure_ascii=False).encode()
    return content


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"key '{shortened(twice, 60)}' stands twice in one object")
    return content


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)
