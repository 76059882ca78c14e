"""The recipe of the container: what it copies is there, it runs as nobody, and nothing without a hash comes into it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def recipe():
    """Its instructions, each on one line."""
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_what_it_copies_is_there(recipe):
    copied = [
        word for line in recipe if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert {"autodls", "plans", "pyproject.toml"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_runs_as_a_user_without_rights(recipe):
    last = recipe[max(at for at, line in enumerate(recipe) if line.startswith("FROM ")) :]
    (user,) = [line for line in last if line.startswith("USER ")]
    assert all(int(number) >= 1000 for number in re.findall(r"\d+", user))
    assert last.index(user) < last.index('ENTRYPOINT ["/opt/autodls/bin/autodls", "predict"]')
    assert not [line for line in last[last.index(user) :] if line.startswith("RUN ")]


def test_nothing_without_a_hash_is_fetched(recipe):
    fetched = [
        part
        for line in recipe
        for part in re.split(r"&&|;|\bthen\b|\belse\b", line)
        if re.search(r"pip (download|install)", part)
    ]
    assert len(fetched) >= 4
    assert all("--require-hashes" in part or "--no-index --find-links /wheels" in part for part in fetched)


def test_takes_the_whole_entry_of_torch_and_no_other(recipe):
    (line,) = [line for line in recipe if "sed -n" in line]
    script = re.search(r"sed -n '([^']+)'", line)[1]
    entry = subprocess.run(
        ["sed", "-n", script, str(ROOT / "requirements.txt")], capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^([\w-]+)==", entry, re.MULTILINE) == ["torch"]
    assert entry.count("--hash=") > 10 and not entry.rstrip("\n").endswith("\\")
