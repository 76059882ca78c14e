"""Parts for the tests of benchmarks/gpu.py, which need no library."""

import os
import time

from gpu_parts import LeftOutError


def two_figures(setting):
    yield {"device": setting.device, "first_ms": 1.5}
    yield {"second_gib": 2, "place": os.getpid()}


def fails(_setting):
    yield {"before_ms": 1}
    raise ValueError("no such thing\nand more")


def dies(_setting):
    yield {"before_ms": 1}
    os._exit(7)


def hangs(_setting):
    yield {"before_ms": 1}
    time.sleep(600)


def lacks(_setting):
    raise LeftOutError("nowhere is not installed")
    yield {}


def warns(_setting):
    import logging
    import warnings

    logging.getLogger("autodls.training.recorded").warning("could not be recorded")
    warnings.warn("not deterministic", stacklevel=1)
    yield {"done": True}
