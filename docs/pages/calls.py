"""The page of the Python calls: what `autodls` exports, and the records that come back, found by the annotations."""

import ast
import inspect
import re
from importlib import import_module

import autodls
from autodls import stats
from autodls.scoring import Model
from autodls.study import Study

_SOURCES = (
    "autodls.study",
    "autodls.study_benchmarks",
    "autodls.study_training",
    "autodls.study_folder",
    "autodls.scoring",
    "autodls.preprocessing.one_case",
)
_JSON = "autodls.records."  # their fields stand on the pages of JSON files


def calls_page() -> str:
    """Markdown of the page: Sphinx reads the docstrings."""
    parts = [
        "# Python",
        "`import autodls` is light: each part is imported when it is asked for. Nothing prints; errors are those of "
        f"`autodls.errors`, one line each. What there is: {', '.join(f'`{name}`' for name in autodls.__all__)}.",
        'All of it works in a notebook, at a prompt, and in a script without `if __name__ == "__main__"`, with several '
        "workers too.",
        "## A study",
        _directive("autoclass", "autodls.study.Study", ":members:", ":inherited-members:"),
        "## A locked model",
        _directive("autofunction", "autodls.scoring.load_model"),
        _directive("autoclass", "autodls.scoring.Model", ":members:"),
        "## One case",
        _directive("autofunction", "autodls.preprocessing.one_case.preprocess_case"),
        "## Statistics",
        _directive("automodule", "autodls.stats", ":no-members:"),
        *(_directive("autofunction", f"autodls.stats.{name}") for name in stats.__all__ if name[0].islower()),
        *(_directive("autoclass", f"autodls.stats.{name}", ":members:") for name in stats.__all__ if name[0].isupper()),
        "## What comes back",
        "Records are frozen. Those that are written as JSON are described there: [JSON files](records/index.md).",
        *(_directive("autoclass", path, ":members:", ":no-inherited-members:") for path in returned()),
        "## Errors",
        _directive("automodule", "autodls.errors", ":members:"),
        "## Progress",
        _directive("automodule", "autodls.watch", ":members:"),
    ]
    return "\n\n".join(parts) + "\n"


def returned() -> list[str]:
    """Full names of the classes that the methods of `Study` and `Model` give back, where they are ours and no JSON."""
    known = _imported()
    words = []
    for owner in (Study, Model):
        for _, method in inspect.getmembers(owner, inspect.isfunction):
            words += re.findall(r"[A-Z]\w+", str(inspect.signature(method).return_annotation))
    words += re.findall(r"[A-Z]\w+", str(inspect.signature(autodls.preprocess_case).return_annotation))
    found = {known[word] for word in words if word in known}
    return sorted(path for path in found if not path.startswith(_JSON) and not _is_record(path) and path != _MODEL)


_MODEL = "autodls.scoring.Model"


def _is_record(path: str) -> bool:
    module, _, name = path.rpartition(".")
    return hasattr(getattr(import_module(module), name), "model_fields")


def _imported() -> dict[str, str]:
    """Full name by name of what the sources import, for their annotations too."""
    known = {}
    for source in _SOURCES:
        tree = ast.parse(inspect.getsource(import_module(source)))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autodls"):
                known |= {one.name: f"{node.module}.{one.name}" for one in node.names if one.name[0].isupper()}
    return {name: path for name, path in known.items() if inspect.isclass(_found(path))}


def _found(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name, None)


def _directive(kind: str, name: str, *options: str) -> str:
    inside = "\n".join([f".. {kind}:: {name}", *(f"   {option}" for option in options)])
    return f"```{{eval-rst}}\n{inside}\n```"
