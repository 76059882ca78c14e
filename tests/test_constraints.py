"""What CI installs is pinned to the version, and `.ci/check_constraints.py` finds what is not."""

import importlib.util
import re
import subprocess
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


LOCKED = tuple(f"requirements{part}.txt" for part in ("", "-build", "-cluster", "-cuda", "-dev", "-lock"))


@pytest.fixture(scope="module")
def locked():
    """Entries of the lock by file: each a pin and the hashes of its files."""
    texts = {name: (ROOT / name).read_text().replace(" \\\n", " ") for name in LOCKED}
    return {name: [line.split() for line in text.splitlines() if line[0] != "#"] for name, text in texts.items()}


def test_every_distribution_has_its_hashes(locked, pins, script):
    entries = [entry for entries in locked.values() for entry in entries]
    assert len(entries) > 120
    for pin, *rest in entries:
        hashes = [word for word in rest if word.startswith("--hash=")]
        assert hashes and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin
    named = {script.normal(pin.partition("==")[0]): pin.partition("==")[2] for pin, *_ in entries}
    assert named == pins


def test_a_processor_alone_takes_no_library_of_a_gpu(locked):
    pins = [entry[0] for name, entries in locked.items() if "cuda" not in name for entry in entries]
    assert pins and not [pin for pin in pins if re.match("nvidia|triton", pin)]


def test_nothing_is_installed_by_its_version_alone():
    """Nor is anything fetched to build with: pip would choose that by itself."""
    made = (ROOT / "Makefile").read_text().splitlines()
    lines = [line for line in made if "pip install" in line or "INSTALL" in line]
    assert len(lines) >= 6
    for line in lines:
        assert "--require-hashes" in line or "$(INSTALL)" in line or "--no-index --no-deps" in line, line
    assert "--no-build-isolation" in lines[0] and "--no-deps" in lines[0]


def test_what_builds_the_package_is_locked(locked, script):
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    builders = {script.normal(entry[0].partition("==")[0]) for entry in locked["requirements-build.txt"]}
    assert {script.normal(re.split("[<>=]", one)[0]) for one in asked} | {"setuptools"} <= builders


def test_every_promise_names_tests_that_are_there():
    text = (ROOT / "SECURITY.md").read_text()
    for file, test in (attacks := re.findall(r"`([a-z_]+\.py)::(test_\w+)`", text)):
        assert re.search(rf"def {test}\b", (ROOT / "tests" / file).read_text()), test
    assert len(attacks) == 53
    named = set(re.findall(r"`((?:tests/|benchmarks/)?[a-z_]+\.py)`", text))
    missing = {name for name in named if not any((ROOT / folder / name).is_file() for folder in (".", "tests"))}
    assert len(named) > 12 and not missing, missing


@pytest.mark.parametrize("recipe", ["Makefile", ".ci/try_wheel"])
def test_cuda_is_installed_only_where_pytorch_asks_for_it(tmp_path, recipe):
    (pattern,) = re.findall(r"grep -q '([^']+)' \S*site-packages/torch-", (ROOT / recipe).read_text())
    for body, wanted in (("Requires-Dist: sympy\n\nSee nvidia.com", 1), ("Requires-Dist: nvidia-cudnn-cu13==9\n", 0)):
        (tmp_path / "METADATA").write_text(f"Name: torch\n{body}")
        assert subprocess.run(["grep", "-q", pattern, tmp_path / "METADATA"], check=False).returncode == wanted
