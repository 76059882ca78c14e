"""Which bytes an installation takes; writes requirements*.txt, with hashes, and constraints.txt, the versions alone.

    make lock                      what pyproject.toml asks for, at the versions of before
    make lock UPGRADE=--upgrade    at the newest ones

The files hold every system and every Python that the package supports; hashes are those that the index names.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
HELD = ("torch==2.13.0",)  # tried on a GPU and on a CPU; others are brought in by hand
# PyTorch's own build without CUDA, for Linux and Python 3.11: a smaller download than PyPI's.
OTHER_BUILDS = {"torch==2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)}
# What some dependencies are built with, which come as source alone, and what hatchling needs to install a checkout.
BUILDERS = ("setuptools", "editables")
TOOLS = (  # extras, installed together
    "dev",
    "dicom",
    "dicomweb",
    "docx",
    "export",
    "mlflow",
    "radiomics",
    "segmentation",
    "sign",
    "stress",
    "tracking",
)
CLUSTERS = ("ray", "slurm")
LOCKER = ("uv==0.13.9",)  # what resolves all this
_CUDA = re.compile(r"(nvidia|cuda|triton)\b")
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)
Lock = dict[str, str]  # the text of each distribution, by its name


def main(options: list[str]) -> None:
    """Write all files of the lock, from one resolution of everything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = [*project["build-system"]["requires"], *BUILDERS]
    extras = project["project"]["optional-dependencies"]
    tools, clusters = ([one for name in names for one in extras[name]] for names in (TOOLS, CLUSTERS))
    run = project["project"]["dependencies"]
    with TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        if (ROOT / "constraints.txt").is_file() and not options:
            pins.write_text((ROOT / "constraints.txt").read_text())
        everything = compiled([*run, *tools, *clusters, *build, *LOCKER], pins, options)
        pins.write_text("".join(f"{entry.split(' ')[0]}\n" for entry in everything.values()))
        needed, builders, locker, wanted = (compiled(asked, pins, []) for asked in (run, build, LOCKER, [*run, *tools]))
    cuda = {name: entry for name, entry in everything.items() if _CUDA.match(name)}
    needed = {name: entry for name, entry in needed.items() if name not in cuda}
    before = needed | cuda | builders
    dev = {name: entry for name, entry in wanted.items() if name not in before}
    rest = {name: entry for name, entry in everything.items() if name not in before | dev | locker}
    write("requirements.txt", "what autodls needs", needed)
    write("requirements-build.txt", "what builds autodls, and dependencies that come as source", builders)
    write("requirements-cuda.txt", "what PyTorch's build for NVIDIA GPUs needs beside the rest", cuda)
    write("requirements-dev.txt", "the tools of the tests, nnU-Net, Ray and submitit, beside requirements.txt", dev)
    write("requirements-cluster.txt", "Ray and submitit, beside requirements-dev.txt", rest)
    write("requirements-lock.txt", "what writes these files", locker)
    versions = sorted({entry.split(" ")[0] for entry in everything.values()})
    (ROOT / "constraints.txt").write_text("\n".join(versions) + "\n")


def compiled(asked: list[str], pins: Path, options: list[str]) -> Lock:
    """Every distribution that `asked` leads to, on any system, with the hashes of all its files."""
    words = ["uv", "pip", "compile", "--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    held = f"--constraint={_file(pins.with_name('held.txt'), HELD)}"
    source = _file(pins.with_name("asked.txt"), asked)
    words += ["--python-version=3.11", held, f"--constraint={_file(pins)}", *options, str(source)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return {name: _with_other_builds(name, entry) for name, entry in entries(done.stdout).items()}


def entries(text: str) -> Lock:
    """The distributions of a requirements file, each with its hashes.

    >>> entries("a==1 ; x \\\\\\n    --hash=sha256:00\\n").keys()
    dict_keys(['a'])
    """
    return {found[1]: found[0] for found in _ENTRY.finditer(text)}


def _with_other_builds(name: str, entry: str) -> str:
    more = OTHER_BUILDS.get(entry.split(" ", 1)[0], ())
    lines = [*entry.rstrip("\n").replace(" \\\n", "\n").splitlines(), *(f"    --hash=sha256:{one}" for one in more)]
    return " \\\n".join(dict.fromkeys(lines)) + "\n"


def _file(path: Path, lines: list[str] | tuple[str, ...] | None = None) -> Path:
    if lines is not None:
        path.write_text("\n".join(lines) + "\n")
    path.touch()
    return path


def write(name: str, what: str, lock: Lock) -> None:
    """Write one file of the lock."""
    head = f"# {what[0].upper()}{what[1:]}: made by `make lock`, not by hand.\n"
    (ROOT / name).write_text(head + "".join(lock[one] for one in sorted(lock)))


if __name__ == "__main__":
    main(sys.argv[1:])
