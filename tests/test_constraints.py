"""What CI installs is pinned to the version, and `.ci/check_constraints.py` finds what is not."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_constraints", ROOT / ".ci" / "check_constraints.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pins(script):
    return script.read_pins((ROOT / "constraints.txt").read_text())


def test_every_dependency_of_every_extra_is_pinned(script, pins):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {script.normal(re.split(r"[<>=!~\[; ]", one)[0]) for one in named}
    assert len(names) > 20 and names <= set(pins), names - set(pins)


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"numpy": "2.0"}, []),
        ({"NumPy": "2.0", "autodls": "9", "pip": "1"}, []),
        ({"torch": "2.13.0+cpu"}, []),
        ({"numpy": "2.1"}, ["numpy 2.1 is installed, constraints.txt has 2.0"]),
        ({"evil.lib": "1"}, ["evil-lib 1 is installed, constraints.txt has no such line"]),
    ],
)
def test_differences(script, installed, said):
    assert script.differences(installed, {"numpy": "2.0", "torch": "2.13.0"}) == said


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "numpy==2.*", "-r other.txt"])
def test_a_line_that_is_no_pin_is_refused(script, line):
    with pytest.raises(ValueError, match="no exact version"):
        script.read_pins(f"torch==2.13.0\n{line}\n")


def test_every_promise_names_tests_that_are_there():
    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`((?:tests/|benchmarks/)?[a-z_]+\.py)`", text))
    missing = {name for name in named if not any((ROOT / folder / name).is_file() for folder in (".", "tests"))}
    assert len(named) > 12 and not missing, missing
