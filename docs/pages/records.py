"""A page for every JSON file that is a contract, from its record: fields, types, bounds, defaults, descriptions."""

import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from autodls.analysis.comparison_results import Comparison
from autodls.analysis.images_records import ImageBenchmark
from autodls.analysis.patients_results import PatientsBenchmark
from autodls.analysis.rois_records import RoiBenchmark
from autodls.evaluation.metrics_record import Metrics
from autodls.inference.prediction import Prediction
from autodls.planning.presets import Preset
from autodls.records.dataset import DatasetDescription
from autodls.records.export import ExportRecord
from autodls.records.fingerprint import Fingerprint
from autodls.records.labels import Labels
from autodls.records.locked_candidate import LockedCandidate
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.provenance import Provenance
from autodls.records.signature import Signature
from autodls.records.splits import Splits
from autodls.stages.init import InitRecord

FILES: Mapping[str, tuple[type[BaseModel], str]] = {
    "dataset.json": (DatasetDescription, "What a dataset folder holds: nnU-Net's keys, and ours under `autodls`."),
    "init.json": (InitRecord, "What `autodls init` chose, and which of it is a guess."),
    "fingerprint.json": (Fingerprint, "What the training cohort looks like."),
    "plan.json": (Plan, "Every choice of the pipeline. It may be edited; it is checked whenever it is read."),
    "preset.json": (Preset, "What `autodls plan --preset FILE` reads; the file may have any name."),
    "splits.json": (Splits, "Who trains whom."),
    "model.json": (ModelRecord, "The locked model, in `model/`."),
    "labels.json": (
        Labels,
        "What `--labels FILE` of `report` and `evaluate --scores` reads; the file may have any name.",
    ),
    "predict.json": (Prediction, "What `autodls predict` scored, and from which bytes."),
    "metrics.json": (Metrics, "Every figure of the evaluation, in `results/`."),
    "compare.json": (Comparison, "What `autodls compare` found, in `results/`."),
    "candidate.json": (LockedCandidate, "What `autodls compare --lock` locked, in `candidate/`."),
    "signature.json": (Signature, "Whose a model or a locked candidate is; `autodls sign` writes it."),
    "learning_curve.json": (PatientsBenchmark, "What `autodls benchmark patients` found, in `results/`."),
    "benchmark_rois.json": (RoiBenchmark, "What `autodls benchmark rois` found, in `results/`."),
    "benchmark_images.json": (ImageBenchmark, "What `autodls benchmark images` found, in `results/`."),
    "export.json": (ExportRecord, "What `autodls export` wrote, and how equal it is."),
    "provenance.json": (Provenance, "Command lines, versions and hashes of what every command made."),
}
_MOST_PLACES = 6
_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}
_BOUNDS = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "at least",
    "max_length": "at most",
}


@dataclass(frozen=True)
class Found:
    """A record, and where it stands in the file: `plan.json` has FusionPlan at `network.fusion`."""

    record: type[BaseModel]
    places: tuple[str, ...]


def record_pages() -> dict[str, str]:
    """Markdown by file name: an index, and a page for each file of `FILES`."""
    pages = {page_name(name): record_page(name, record, what) for name, (record, what) in FILES.items()}
    return {"index.md": _index(), **pages}


def page_name(file: str) -> str:
    """The page of a JSON file.

    >>> page_name("plan.json")
    'plan.md'
    """
    return f"{file.removesuffix('.json').replace('_', '-')}.md"


def record_page(file: str, record: type[BaseModel], what: str) -> str:
    """All fields of `file`, a table for each record in it."""
    parts = [f"# {file}", what]
    for found in nested(record):
        here = found.record is record
        if not here:
            parts.append(f"({_target(file, found.record)})=\n## {_title(found)}")
        if (about := _about(found.record)) and not here:
            parts.append(about)
        if not here and len(found.places) > 1:
            more = f" and {len(found.places) - _MOST_PLACES} more places" if len(found.places) > _MOST_PLACES else ""
            parts.append("At " + ", ".join(f"`{place}`" for place in found.places[:_MOST_PLACES]) + more + ".")
        parts.append(_table(file, found))
    return "\n\n".join(parts) + "\n"


def nested(record: type[BaseModel]) -> list[Found]:
    """The record and those that its fields hold, in the order in which a reader meets them, each once."""
    places: dict[type[BaseModel], list[str]] = {}
    _walk(record, "", places, ())
    return [Found(one, tuple(dict.fromkeys(at))) for one, at in places.items()]


def _walk(
    record: type[BaseModel], at: str, places: dict[type[BaseModel], list[str]], above: tuple[type[BaseModel], ...]
) -> None:
    places.setdefault(record, []).append(at)
    if record in above:
        return
    for name, field in record.model_fields.items():
        for inner, path in _records_in(field.annotation, f"{at}.{name}" if at else name):
            _walk(inner, path, places, (*above, record))


def _records_in(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """Records that a field of this type holds, with their place: a list is `name[]`, an object by name `name.NAME`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _records_in(inner[0], path)
    elif origin is dict:
        yield from _records_in(inner[1], f"{path}.NAME")
    elif origin is tuple:
        for one in dict.fromkeys(inner):
            yield from _records_in(one, f"{path}[]")
    elif origin in (Union, types.UnionType):
        for one in inner:
            yield from _records_in(one, path)


def _title(found: Found) -> str:
    if len(found.places) == 1:
        return found.places[0].replace("[]", "\\[\\]")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", found.record.__name__).capitalize()


def _about(record: type[BaseModel]) -> str:
    """The docstring without its examples; arguments of other records' docstrings are code already."""
    text = re.split(r"\n\s*>>>", record.__doc__ or "")[0]
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _target(file: str, record: type[BaseModel]) -> str:
    return f"{page_name(file).removesuffix('.md')}-{record.__name__.lower()}"


def _table(file: str, found: Found) -> str:
    lines = ["```{list-table}", ":header-rows: 1", ":class: fields", "", "* - key", "  - value", "  - what it means"]
    for name, field in found.record.model_fields.items():
        value = "; ".join(filter(None, (typed(field.annotation, file, field.metadata), _default(field))))
        lines += [f"* - `{name}`", f"  - {value}", f"  - {_sentence(told(name, field))}"]
    return "\n".join([*lines, "```"])


def told(name: str, field: FieldInfo) -> str:
    """What a key means: its own description, else the first sentence of the record that it holds."""
    if field.description or name == "format":
        return field.description or "name and version of the format"
    held = [record for record, _ in _records_in(field.annotation, "")]
    return re.split(r"(?<=[.;])\s", _about(held[0]))[0].rstrip(".;") if held else ""


def _sentence(text: str | None) -> str:
    """A description as the cell of a table."""
    return re.sub(r"([<>*\[\]])", r"\\\1", " ".join((text or "").split()))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
        return ""
    value = field.default if field.default is not PydanticUndefined else field.default_factory()  # type: ignore
    if value is None or value in ((), {}, ""):
        return "may be left out"
    return f"default `{_json(value)}`"


def _json(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def typed(annotation: Any, file: str = "", metadata: Any = ()) -> str:
    """What a value may be, in words.

    >>> typed(dict[str, float]), typed(Literal["a", "b"]), typed(tuple[float, float] | None)
    ('object: name to number', '`"a"` or `"b"`', 'list of 2: number, number; or null')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return typed(inner[0], file, (*inner[1:], *metadata))
    return _base(annotation, origin, inner, file) + _bounds(metadata, of_list=origin in (tuple, dict))


def _base(annotation: Any, origin: Any, inner: tuple[Any, ...], file: str) -> str:
    if origin is Literal:
        return " or ".join(f"`{_json(one)}`" for one in inner)
    if origin is dict:
        return f"object: name to {typed(inner[1], file)}"
    if origin is tuple:
        each = [typed(one, file) for one in inner if one is not Ellipsis]
        return f"list of {each[0]}" if Ellipsis in inner else f"list of {len(each)}: {', '.join(each)}"
    if origin in (Union, types.UnionType):
        each = [typed(one, file) for one in inner]
        return ("; or " if any("list of" in one for one in each) else " or ").join(each)
    return _one(annotation, file)


def _one(annotation: Any, file: str) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", annotation.__name__).lower()
        return f"[{title}](#{_target(file, annotation)})" if file else title
    return _PLAIN.get(annotation, "any value")


def _bounds(metadata: Any, *, of_list: bool) -> str:
    told = []
    for one in metadata:
        for held in getattr(one, "metadata", None) or (one,):
            for bound, words in _BOUNDS.items():
                if (limit := getattr(held, bound, None)) is not None:
                    unit = "" if not bound.endswith("length") else " of them" if of_list else " signs"
                    told.append(f"{words} {limit:g}{unit}")
    return f", {', '.join(told)}" if told else ""


def _index() -> str:
    rows = [f"| [`{name}`]({page_name(name)}) | {what} |" for name, (_, what) in FILES.items()]
    toctree = "\n".join(page_name(name).removesuffix(".md") for name in FILES)
    return "\n".join(
        [
            "# JSON files",
            "",
            "Each page is made from the record that the program reads and writes by: an unknown key is refused, as is",
            "a value of another type. Keys of these files are a contract: they are added to, and not renamed.",
            "",
            "| file | what |",
            "|---|---|",
            *rows,
            "",
            f"```{{toctree}}\n:hidden:\n\n{toctree}\n```",
            "",
        ]
    )
