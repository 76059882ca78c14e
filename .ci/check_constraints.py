"""Is what is installed exactly what constraints.txt pins? Needs no network; one line for each difference, status 1."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

OURS = frozenset({"autodls", "pip", "wheel"})


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> dict[str, str]:
    """Versions by name; raises ValueError for a line that is no exact pin."""
    pins = {}
    for line in (line.split("#")[0].strip() for line in text.splitlines()):
        if line:
            name, exact, version = line.partition("==")
            if not exact or not version or "*" in version:
                raise ValueError(f"constraints.txt: '{line}' is no exact version; write NAME==VERSION")
            pins[normal(name)] = version
    return pins


def differences(installed: Mapping[str, str], pins: Mapping[str, str]) -> list[str]:
    """One line for each installed distribution that is not pinned, or of another version; local parts do not count."""
    found = []
    for name, version in sorted((normal(name), version) for name, version in installed.items()):
        if name not in OURS and version.split("+")[0] != pins.get(name):
            found.append(f"{name} {version} is installed, constraints.txt has {pins.get(name, 'no such line')}")
    return found


def main() -> int:
    """Compare this environment with constraints.txt beside this folder."""
    pins = read_pins((Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8"))
    found = differences({one.metadata["Name"]: one.version for one in distributions()}, pins)
    for line in (*found, f"{len(found)} differences to {len(pins)} pinned versions"):
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
