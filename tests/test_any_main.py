"""Several workers from a script without a guard, from stdin, from a prompt: no worker runs the caller's program."""

import os
import subprocess
import sys

import pytest

from autodls.spawning import _Process

WORK = """
def double(number):
    return 2 * number
"""
CALL = """
print("begun")
from autodls.parallel import map_parallel, no_advance
from its_work import double
print("found", map_parallel(double, [1, 2, 3], ["a", "b", "c"], 2, no_advance))
"""


def python(folder, *words, typed=None):
    """What Python says that runs in `folder`, where the work lies."""
    (folder / "its_work.py").write_text(WORK)
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": paths}, input=typed,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def run_script(folder):
    (folder / "script.py").write_text(CALL)
    return python(folder, "script.py")


def run_module(folder):
    (folder / "script.py").write_text(CALL)
    return python(folder, "-m", "script")


WAYS = {
    "a script without a guard": run_script,
    "python -m": run_module,
    "stdin": lambda folder: python(folder, "-", typed=CALL),
    "a prompt": lambda folder: python(folder, "-i", "-q", typed=CALL),
}


@pytest.mark.parametrize("way", WAYS)
def test_workers_start_wherever_the_call_stands(tmp_path, way):
    """Once its lines are run, by the caller; a worker that ran them again would start workers of its own, and die."""
    answer = WAYS[way](tmp_path)
    assert answer.stdout.count("begun") == 1, answer.stderr
    assert "found [2, 4, 6]" in answer.stdout, answer.stderr
    assert "Error" not in answer.stderr


def test_processes_of_others_start_as_ever(tmp_path):
    """The way in which multiprocessing spawns is not changed beneath other libraries."""
    script = """
import multiprocessing
import its_work
from autodls.parallel import map_parallel, no_advance
def own(number): return number + 1
if __name__ == "__main__":
    map_parallel(its_work.double, [1, 2], ["a", "b"], 2, no_advance)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("found", pool.map(own, [1]))
"""
    (tmp_path / "script.py").write_text(script)
    answer = python(tmp_path, "script.py")
    assert "found [2]" in answer.stdout, answer.stderr


ASK = "from autodls.watch import SILENT; print(SILENT.command)"
CALLERS = {
    "study.py": lambda folder: python(folder, folder / "study.py"),
    "study": lambda folder: python(folder, "-m", "study"),
    "REPL": lambda folder: python(folder, "-i", "-q", typed=ASK + "\n"),
}


@pytest.mark.parametrize("caller", [*CALLERS, "piped", "-c", "notebook"])
def test_who_calls_is_named_without_a_path(tmp_path, caller):
    """As provenance keeps it: a script that is told by its folder has a person's name in it."""
    (tmp_path / "study.py").write_text(ASK)
    ways = {
        "piped": lambda folder: python(folder, "-", typed=ASK),
        "-c": lambda folder: python(folder, "-c", ASK),
        "notebook": lambda folder: python(folder, "-c", f"import builtins; builtins.__IPYTHON__ = True; {ASK}"),
    }
    answer = {**CALLERS, **ways}[caller](tmp_path)
    expected = "REPL" if caller in ("piped", "-c") else caller
    assert answer.stdout.strip().endswith(f"('python', '{expected}')"), answer.stdout + answer.stderr


def test_the_main_module_is_back_once_a_process_is_started():
    """And is what it is for other threads meanwhile: what it holds is found in it."""
    main, seen = sys.modules["__main__"], []

    class Spied(_Process):
        @staticmethod
        def _Popen(_process):  # noqa: N802 (its name in multiprocessing)
            now = sys.modules["__main__"]
            seen.append((now is main, hasattr(now, "__file__"), now.__spec__, now.__dict__ is not main.__dict__))
            main.held = 1
            seen.append(now.held)
            raise OSError("no more processes")

    with pytest.raises(OSError, match="no more"):
        Spied(target=print).start()
    del main.held
    assert seen == [(False, False, None, True), 1] and sys.modules["__main__"] is main
