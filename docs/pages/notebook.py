"""The notebook as a page: its text, and its cells as code. It is kept without results, and a test runs it."""

import json
from pathlib import Path

_NOTE = "This is `docs/first_study.ipynb` of the repository; download it there, and run it in Jupyter."


def notebook_page(path: Path) -> str:
    """Markdown of the notebook `path`."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [_cell(one["cell_type"], "".join(one["source"]).strip()) for one in cells]
    return "\n\n".join([parts[0], _NOTE, *parts[1:]]) + "\n"


def _cell(kind: str, text: str) -> str:
    return text if kind == "markdown" else f"```ipython\n{text}\n```"
