"""What a case costs as a cohort grows: check, plan and preprocess on 10 to 2,000 small phantom cases.

    python benchmarks/scale.py [--cases 10,100,500,2000]

Each command runs as a process of its own, one worker. The time that a further case takes must stay the same, and memory
must not grow with the volumes: what a command keeps of a case is a few kilobytes.
"""

import argparse
import gzip
import json
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from side_by_side import Usage, machine, whole_process

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
SIZE_XYZ, SPACING_MM = (32, 32, 12), (2.0, 2.0, 5.0)
RUN = "from autodls.cli.app import main; main()"
COMMANDS = {"check": [], "plan": ["--encoder-weights", "random", "--device", "cpu"], "preprocess": []}
MOST_KIB_A_CASE = 24.0  # three volumes of a case are 72 KiB, and 144 KiB as float32
MOST_SLOWER = 1.5


def write_cohort(folder: Path, cases: int) -> None:
    """`cases` small phantoms, no two alike, one in three positive."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    chance = np.random.default_rng(0)
    z, y, x = (np.indices(SIZE_XYZ[::-1]).T - (np.array(SIZE_XYZ[::-1]) - 1) / 2).T
    head = 600.0 * ((x / 14) ** 2 + (y / 15) ** 2 + (z / 6) ** 2 < 1)
    lines = ["case,cps"]
    for number in range(cases):
        name = f"case_{number:04d}"
        tumour = (x - chance.uniform(-3, 3)) ** 2 + (y - chance.uniform(-3, 3)) ** 2 + (2.5 * z) ** 2 < 30
        for channel in range(len(SEQUENCES)):
            image = head + 300 * (channel + 1) * tumour + chance.normal(0, 20, head.shape)
            _write(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz", image.astype(np.int16), 4)
        _write(folder / "labelsTr" / f"{name}.nii.gz", tumour.astype(np.uint8), 2)
        lines.append(f"{name},{30 if number % 3 == 0 else 5}")
    (folder / "clinical.csv").write_text("\n".join(lines) + "\n")
    description = {
        "name": "scale",
        "channel_names": dict(zip("012", SEQUENCES, strict=True)),
        "labels": {"background": 0, "tumour": 1},
        "numTraining": cases,
        "file_ending": ".nii.gz",
        "autodls": {
            "case": "case",
            "roi_channel": "CE-T1WI",
            "target": {"name": "high", "column": "cps", "positive": ">= 20"},
        },
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _write(path: Path, array: np.ndarray, code: int) -> None:
    """A NIfTI file, written here because a cohort of thousands is wanted in seconds."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *SIZE_XYZ, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, 8 * array.itemsize)
    struct.pack_into("<8f", header, 76, 1.0, *SPACING_MM, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    struct.pack_into("<2h", header, 252, 1, 0)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + array.tobytes(), compresslevel=1, mtime=0))


def measured(cases: int) -> dict[str, Usage]:
    """Cost of each command on a new cohort."""
    with tempfile.TemporaryDirectory() as name:
        write_cohort(Path(name), cases)
        shared = ["-d", name, "--workers", "1"]
        return {
            command: whole_process("-c", RUN, command, *shared, *options, quiet=True)()
            for command, options in COMMANDS.items()
        }


def main() -> int:
    """Run all; exit status 1 where a further case costs more time in a large cohort, or memory grows with volumes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="10,100,500,2000")
    sizes = sorted(int(size) for size in parser.parse_args().cases.split(","))
    print(machine())
    costs = {size: measured(size) for size in sizes}
    sound = [is_sound(command, {size: cost[command] for size, cost in costs.items()}) for command in COMMANDS]
    return 0 if all(sound) else 1


def is_sound(command: str, costs: dict[int, Usage]) -> bool:
    """Print a table; whether a further case costs the same time in a large cohort, and no volumes are kept."""
    print(f"\n{command:<12}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}{'a further case: ms':>20}{'KiB':>8}")
    sizes, further_ms, further_kib = list(costs), [], []
    for index, (size, usage) in enumerate(costs.items()):
        line = f"{size:>6} cases{usage.wall_s:10.2f}{usage.cpu_s:10.2f}{usage.memory_mib:10.0f}"
        if index:
            before, more = costs[sizes[index - 1]], size - sizes[index - 1]
            further_ms.append(1000 * (usage.cpu_s - before.cpu_s) / more)
            further_kib.append(1024 * (usage.memory_mib - before.memory_mib) / more)
            line += f"{further_ms[-1]:20.2f}{further_kib[-1]:8.1f}"
        print(line)
    if len(further_ms) < 2:
        return True
    linear, flat = further_ms[-1] < MOST_SLOWER * further_ms[-2], further_kib[-1] < MOST_KIB_A_CASE
    print(f"time is {'linear' if linear else 'NOT LINEAR'}, memory is {'flat' if flat else 'NOT FLAT'}")
    return linear and flat


if __name__ == "__main__":
    sys.exit(main())
