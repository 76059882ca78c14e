"""The notebook of docs/ in a kernel, as Jupyter runs it; and several workers from a cell."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="no notebooks: pip install 'autodls[dev]'")
NotebookClient = pytest.importorskip("nbclient").NotebookClient
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first_study.ipynb"


def run(notebook, folder):
    """Run its cells; a cell that raises fails the test with its traceback. What the last cells printed, as one text."""
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(one.get("text", "") + one.get("data", {}).get("text/plain", "") for one in outputs)


@pytest.mark.long
def test_the_first_study_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    said = run(nbformat.read(NOTEBOOK, as_version=4), tmp_path)
    assert "trained on manual ROIs" in said
    assert "(3, 3, " in said
    assert "AUC 0.88" in said


def test_the_notebook_is_kept_without_results():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.long
def test_several_workers_start_from_a_cell(tmp_path):
    lines = [
        "from pathlib import Path",
        "from autodls.phantom.cohort import PhantomSettings, write_cohort",
        "write_cohort(Path('cohort'), PhantomSettings(cases=3), workers=2)",
        "print(len(list(Path('cohort/labelsTr').iterdir())), 'cases')",
    ]
    cells = [nbformat.v4.new_code_cell("\n".join(lines))]
    assert "3 cases" in run(nbformat.v4.new_notebook(cells=cells), tmp_path)
