"""What a release is: a wheel and an sdist that are the same bytes each time, and a bill of what they are made of."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from autodls import __version__
from autodls.records.encoders import ENCODER_SPECS

pytest.importorskip("hatchling")
pytest.importorskip("cyclonedx")
ROOT = Path(__file__).parents[1]
WHEEL, SDIST = f"autodls-{__version__}-py3-none-any.whl", f"autodls-{__version__}.tar.gz"


def built(source, folder, *targets):
    words = [word for target in targets for word in ("-t", target)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-m", "hatchling", "build", *words, "-d", str(folder)]
    subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Folder of a release, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    built(ROOT, folder, "sdist", "wheel")
    return folder


@pytest.fixture(scope="module")
def sbom():
    """The script that writes the bill."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / ".ci" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module  # its dataclass looks for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["sbom"]


@pytest.fixture(scope="module")
def bill(sbom, release):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        sbom.main(release)
    return json.loads((release / f"autodls-{__version__}.cdx.json").read_text())


@pytest.fixture(scope="module")
def components(bill):
    return {one["name"]: one for one in bill["components"]}


# -- wheel and sdist ---------------------------------------------------------------------------------------------------


def test_built_again_they_are_the_same_bytes_and_the_sdist_gives_the_same_wheel(release, tmp_path):
    again = built(ROOT, tmp_path / "again", "sdist", "wheel")
    assert {name: (release / name).read_bytes() for name in (WHEEL, SDIST)} == again
    with tarfile.open(release / SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    assert built(tmp_path / f"autodls-{__version__}", tmp_path / "from-sdist", "wheel") == {WHEEL: again[WHEEL]}


def test_the_wheel_has_all_of_the_package_and_nothing_else(release):
    with zipfile.ZipFile(release / WHEEL) as archive:
        names = set(archive.namelist())
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "autodls").rglob("*") if path.is_file()}
    plans = {f"autodls/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "plans").rglob("*") if path.is_file()}
    described = {name for name in names if name.startswith(f"autodls-{__version__}.dist-info/")}
    assert names - described == {name for name in package | plans if not name.endswith(".pyc")}
    assert {"autodls/py.typed", "autodls/__init__.pyi", "autodls/plans/auto.json"} <= names
    assert any(name.startswith("autodls/report/assets/") for name in names)
    assert f"autodls-{__version__}.dist-info/licenses/LICENSE" in described
    assert not [name for name in names if re.search(r"(^|/)(tests?|\.ci|benchmarks|conftest\.py)(/|$)", name)]


def test_the_sdist_has_what_it_is_installed_with(release):
    with tarfile.open(release / SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "requirements.txt"} <= names
    assert not [name for name in names if name.startswith(("tests", ".ci", "benchmarks"))]
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert linked and {name for name in linked if name.startswith("docs/")} <= names


# -- what it is made of ------------------------------------------------------------------------------------------------


def test_the_bill_is_of_this_release_and_the_same_each_time(sbom, release, bill, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert json.loads(sbom.text_of(sbom.bill(release))) == bill
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["licenses"]) == (
        "autodls",
        __version__,
        [{"license": {"id": "Apache-2.0"}}],
    )
    files = {one["url"]: one["hashes"] for one in root["externalReferences"]}
    assert files == {
        name: [{"alg": "SHA-256", "content": hashlib.sha256((release / name).read_bytes()).hexdigest()}]
        for name in (WHEEL, SDIST)
    }
    assert bill["metadata"]["timestamp"].startswith("2023-11-14")


def test_it_has_every_distribution_of_the_lock_that_is_shipped(components, sbom):
    locked = sbom.pins()
    required = {name for name, one in components.items() if one["scope"] == "required"}
    assert required == {name for name, pin in locked.items() if pin.file == "requirements.txt" and not pin.marker}
    assert {"torch", "numpy", "pydantic"} <= required
    for name, pin in locked.items():
        if name in components:
            (file,) = components[name]["externalReferences"]
            assert components[name]["version"] == pin.version
            assert {one["content"] for one in file["hashes"]} == set(pin.sha256)
    assert not {"pytest", "ruff", "mypy", "hypothesis", "selenium"} & set(components)  # of whoever works on it
    of_extra = {one["value"] for one in components["pydicom"]["properties"]}
    assert "dicom" in of_extra and components["pydicom"]["scope"] == "optional"


def test_licences_are_those_that_the_distributions_name(components):
    assert components["typer"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert {one["license"].get("id") or one["license"]["name"] for one in components["pandas"]["licenses"]} == {
        "BSD License"
    }
    assert "BSD-3-Clause" in components["numpy"]["licenses"][0]["expression"]
    unknown = [name for name, one in components.items() if one["scope"] == "required" and "licenses" not in one]
    assert unknown == []


def test_who_needs_whom(bill):
    needs = {one["ref"].partition("@")[0]: one.get("dependsOn", []) for one in bill["dependencies"]}
    names = {key: {one.partition("@")[0].removeprefix("pkg:pypi/") for one in value} for key, value in needs.items()}
    assert {"torch", "pydantic", "scikit-learn"} <= names["pkg:pypi/autodls"]
    assert {"numpy", "scipy", "joblib"} <= names["pkg:pypi/scikit-learn"]


def test_weights_that_are_fetched_are_named(components):
    names = {spec.imagenet.file: spec.imagenet.sha256 for spec in ENCODER_SPECS.values() if spec.imagenet}
    assert len(names) == 8
    for name, sha256 in names.items():
        found = components[name]
        assert found["type"] == "machine-learning-model"
        assert [one["content"] for one in found.get("hashes", [])] == ([sha256] if sha256 else [])


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"License-Expression": "MIT AND BSD-3-Clause"}, ["MIT AND BSD-3-Clause"]),
        ({"License": "Apache-2.0"}, ["Apache-2.0"]),
        ({"License": "a text\nof many lines", "Classifier": "License :: OSI Approved :: BSD License"}, ["BSD License"]),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved"}, []),
        ({}, []),
    ],
)
def test_how_a_licence_is_named(sbom, said, named):
    message = Message()
    for key, value in said.items():
        message[key] = value
    found = [getattr(one, "value", None) or getattr(one, "id", None) or one.name for one in sbom.licences(message)]
    assert found == named


def test_what_is_no_bill_is_not_written(sbom, monkeypatch):
    monkeypatch.setattr(sbom, "JsonV1Dot6", lambda _bom: Message)
    monkeypatch.setattr(Message, "output_as_string", lambda **_words: '{"bomFormat": "other"}', raising=False)
    with pytest.raises(ValueError, match=r"not valid CycloneDX 1\.6"):
        sbom.text_of(None)


def test_names_no_registry_and_no_place_of_this_machine(release, bill):
    text = (release / f"autodls-{__version__}.cdx.json").read_text()
    assert str(ROOT) not in text and str(release) not in text and sys.prefix not in text


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_nothing_is_released_that_is_not_committed(tmp_path):
    """A fresh repository with a changed file: `make dist` says so before it builds."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    for name in ("installed", "installed-dev"):
        (tmp_path / ".venv" / name).touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    words = ["make", "dist", "-o", ".venv/installed", "-o", ".venv/installed-dev"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "commit or stash what is changed" in done.stdout
    assert not (tmp_path / "dist").exists()
