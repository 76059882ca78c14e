"""`autodls --help` against what cannot be avoided: starting Python, and importing numpy.

python benchmarks/startup.py [--rounds 9]
"""

from argparse import ArgumentParser

from side_by_side import OURS, interleaved, machine, show, whole_process

_QUIETLY = "import contextlib, os, sys; sys.stdout = open(os.devnull, 'w'); "
_HELP = "sys.argv = ['autodls', '--help']; from autodls.cli.app import main; main()"
_NO_LIBRARY = "import autodls.cli.app; sys.exit(bool({'torch', 'numpy', 'pydantic', 'SimpleITK'} & set(sys.modules)))"


def main() -> None:
    """Print the table; a help that imports a heavy library ends in an error."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    whole_process("-c", _QUIETLY + _NO_LIBRARY)()
    competitors = {
        OURS: whole_process("-c", _QUIETLY + _HELP),
        "python alone": whole_process("-c", ""),
        "python, numpy": whole_process("-c", "import numpy"),
        "python, typer": whole_process("-c", "import typer"),
    }
    print(machine())
    show("autodls --help", interleaved(competitors, asked.rounds), {})


if __name__ == "__main__":
    main()
