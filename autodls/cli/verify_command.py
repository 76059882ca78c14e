"""`verify`."""

import json
from dataclasses import asdict
from pathlib import Path

from autodls.cli.console import Terminal, say, say_json
from autodls.stages.verify import verify
from autodls.verify.chain import Link

_EXIT_BROKEN = 2


def run_verify(place: Path, dataset: Path | None, workers: int, *, as_json: bool) -> int:
    """Check a chain of hashes and show every link of it; the exit status, 2 where something no longer fits."""
    found = verify(place, dataset, workers=workers, watch=Terminal())
    if as_json:
        say_json(json.dumps({"fits": found.fits, "links": [asdict(link) for link in found.links]}, indent=1))
    else:
        for link in found.links:
            say(f"{_verdict(link):<13} {link.name}")
    return 0 if found.fits else _EXIT_BROKEN


def _verdict(link: Link) -> str:
    if not link.checked:
        return "not checked"
    return "does not fit" if link.faults else "fits"
