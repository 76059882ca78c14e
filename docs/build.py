"""Build the site: copy the pages, make what the program says of itself and the pictures, and call Sphinx.

    python docs/build.py [OUT]     OUT is build/docs by default; nothing is fetched

Warnings are errors, broken links between pages among them. The same sources give the same bytes.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("SOURCE_DATE_EPOCH", "1735689600")  # no page shows a date, and none is to depend on one
os.environ["MPLBACKEND"] = "agg"

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from pages.calls import calls_page  # noqa: E402
from pages.commands import command_pages  # noqa: E402
from pages.notebook import notebook_page  # noqa: E402
from pages.pictures import draw_pictures  # noqa: E402
from pages.records import record_pages  # noqa: E402
from pages.tables import columns_page  # noqa: E402
from sphinx.cmd.build import build_main  # noqa: E402

TAKEN = ("CHANGELOG.md", "SECURITY.md", "benchmarks/RESULTS.md", "benchmarks/speed.png")  # pages that stand elsewhere


def stage(source: Path) -> Path:
    """Lay out all sources below `source`, as they lie in the repository; returns the folder of the pages."""
    shutil.rmtree(source, ignore_errors=True)
    pages = source / "docs"
    shutil.copytree(DOCS, pages, ignore=shutil.ignore_patterns("pages", "build.py", "__pycache__", "*.ipynb"))
    for name in TAKEN:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    reference = pages / "reference"
    _write(reference / "commands", command_pages)
    _write(reference / "records", record_pages)
    _write(reference, lambda: {"tables.md": columns_page(), "python.md": calls_page()})
    _write(pages / "start", lambda: {"notebook.md": notebook_page(DOCS / "first_study.ipynb")})
    draw_pictures(pages / "concepts" / "pictures")
    return pages


def _write(folder: Path, made: Callable[[], dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made().items():
        (folder / name).write_text(text, encoding="utf-8")


def build(out: Path) -> int:
    """Write the site into the folder `out`, in the place of what is there; the exit status of Sphinx."""
    work = out.with_name(f"{out.name}-source")
    pages = stage(work)
    shutil.rmtree(out, ignore_errors=True)
    asked = ["-q", "-W", "--keep-going", "-E", "-b", "html", "-d", str(work / "doctrees"), str(pages), str(out)]
    status = build_main(asked)
    (out / ".buildinfo").unlink(missing_ok=True)
    return status


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").resolve()))
