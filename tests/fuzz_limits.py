"""Small files that claim much: each in a child process whose time and memory are limited, and is told in one line.

A file has 8 MiB at most, or takes no more of the disk (a sparse one).
"""

import gzip
import json
import os
import resource
import select
import shutil
import signal
import struct
import time
from dataclasses import dataclass

import numpy as np
from command_line import SEQUENCES, autodls, edit_json, write_phantom, write_preset
from fuzz_bombs import MOST_BYTES, json_text, many, table_text, write_workbook
from fuzz_mutations import choose
from fuzz_run import FaultError, memory_bytes
from fuzz_scores import write_scores
from tiny_model_folder import write_model_folder
from tiny_models import tiny_model, tiny_plan

from autodls.records.model import ModelRecord

CHILD_SECONDS, CHILD_GIB, WAIT_SECONDS = 60, 3, 240  # seconds of the processor, and of the clock


@dataclass(frozen=True)
class LimitTrial:
    """A kind of file, and the seed of its chance."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"limits/{self.kind}/{self.seed}"


def make_limits(root):
    """A study, a case to predict, its model, a table of scores and a preset."""
    dataset = write_phantom(root / "dataset", cases=4, external_cases=0, prevalence=0.5, seed=4)
    plan = tiny_plan(SEQUENCES, input_size_px=32, slice_size_px=40, crop_mm=60.0, registration="geometry")
    write_model_folder(root / "model", tiny_model(plan))
    write_scores(root / "scores.csv")
    write_preset(root / "preset.json")
    for part, pattern in (("images", "imagesTr/PH0001_*"), ("rois", "labelsTr/PH0001.*")):
        (root / "new" / part).mkdir(parents=True)
        for path in dataset.glob(pattern):
            shutil.copyfile(path, root / "new" / part / path.name)
    return root


def run_limits(inputs, trial, work):
    """Run a trial: "refused", or "same" where the command took the file."""
    chance = np.random.default_rng((trial.seed, 73))
    root = work / "limits"
    shutil.copytree(inputs, root)
    words = KINDS[trial.kind](root, chance)
    status, said = in_child(words)
    if "Traceback" in said or status not in (0, 1, 2):
        raise FaultError(f"{words[0]} left with {status}: {said[-400:]}")
    if max(map(len, said.splitlines()), default=0) > 1 << 16:
        raise FaultError(f"{words[0]} says a line of {max(map(len, said.splitlines()))} signs")
    if "autodls: error: " in said and "memory" in said.partition("autodls: error: ")[2]:
        raise FaultError(f"{words[0]} takes more than {CHILD_GIB} GiB: {said[-300:]}")
    return "refused" if status else "same"


def in_child(words):
    """Exit status, and all that a command said, in a process that may take `CHILD_GIB` more and `CHILD_SECONDS`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)  # so that it ends when its parent does
        _be_child(words, writer)
    os.close(writer)
    said, deadline = b"", time.monotonic() + WAIT_SECONDS
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (piece := stream.read(1 << 16)):
                break
            said += piece
        else:
            os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        raise FaultError(f"{' '.join(map(str, words[:2]))}: ended by signal {-status}, after {said[-200:]!r}")
    return status, said.decode(errors="replace")


def _be_child(words, writer):
    status = 99
    try:
        claimed = memory_bytes("VmSize") + (CHILD_GIB << 30)
        resource.setrlimit(resource.RLIMIT_AS, (claimed, claimed))
        resource.setrlimit(resource.RLIMIT_CPU, (CHILD_SECONDS, CHILD_SECONDS))  # counted anew in a forked process
        answer = autodls(*words)
        status = answer.status
        with os.fdopen(writer, "wb") as stream:
            stream.write((answer.out + answer.err).encode(errors="replace"))
    except BaseException as failure:
        os.write(writer, f"Traceback: {type(failure).__name__} {failure}"[:2000].encode(errors="replace"))
    finally:
        os._exit(status)


def _table(root, chance):
    """`check` or `evaluate --scores` of a table."""
    if chance.random() < 0.5:
        path = root / "dataset" / "clinical.csv"
        words = ("check", "-d", root / "dataset", "--workers", 1)
    else:
        path = root / "scores.csv"
        words = ("evaluate", "--scores", path, "--score", "dls", "--label", "label", "-o", root / "out")
    if chance.random() < 0.3:
        path.unlink()
        path = path.with_suffix(".xlsx")
        write_workbook(path, chance)
        return tuple(path if word == path.with_suffix(".csv") else word for word in words)
    path.write_text(table_text(chance))
    return words


def _json(root, chance):
    """`check`, `plan --preset`, `verify` or `predict` of a record that unfolds."""
    path, words = choose(chance, (
        (root / "dataset/dataset.json", ("check", "-d", root / "dataset", "--workers", 1)),
        (root / "preset.json", ("plan", "-d", root / "dataset", "--preset", root / "preset.json", "--workers", 1)),
        (root / "model/model.json", ("verify", root / "model", "--workers", 1)),
        (root / "model/plan.json", _predict(root)),
        (root / "model/fingerprint.json", _predict(root)),
    ))  # fmt: skip
    content, text = json.loads(path.read_text()), json_text(chance)
    if chance.random() < 0.3:
        path.write_text(text)
        return words
    holder = content
    while isinstance(inner := holder[key := choose(chance, sorted(holder))], dict) and inner and chance.random() < 0.8:
        holder = inner
    holder[key] = "@"
    path.write_text(json.dumps(content).replace('"@"', text, 1))
    return words


def _predict(root):
    new = root / "new"
    given = ("-i", new / "images", "--rois", new / "rois", "-m", root / "model")
    return ("predict", *given, "-o", root / "out")


LARGE = (0, -1, 64, 1024, 2048, 10**6, 10**9, 2**31, 2**63, 10**30, 1e300)


def _model(root, chance):
    """`predict` by a model that was sealed again with one number exchanged."""
    plan = json.loads((root / "model/plan.json").read_text())
    places = [(plan, key) for key in plan]
    for holder, key in places:
        if isinstance(holder[key], dict):
            places += [(holder[key], inner) for inner in holder[key]]
    holder, key = choose(chance, [(h, k) for h, k in places if isinstance(h[k], int | float)])
    holder[key] = choose(chance, LARGE)
    (root / "model/plan.json").write_text(json.dumps(plan, indent=1))
    from autodls.records.files import sha256_of_file

    record = ModelRecord.load(root / "model/model.json", "")
    sealed = record.model_copy(update={"plan_sha256": sha256_of_file(root / "model/plan.json")}).sealed()
    sealed.save(root / "model/model.json")
    return _predict(root)


def _tensor(shape, end):
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}


def _weights(root, chance):
    """`predict` by a model whose weights claim much."""
    path = choose(chance, sorted((root / "model").glob("fold_*/*.safetensors")))
    if chance.random() < 0.3:
        os.truncate(path, 1 << int(chance.integers(20, 41)))
    else:
        header = choose(chance, (
            "{" + " " * many(chance, MOST_BYTES), "[" * many(chance, 1_000_000),
            json.dumps({f"t{number}": _tensor([0], 0) for number in range(many(chance, 90_000))}),
            json.dumps({"a": _tensor([2**31, 2**31], 2**60)}),
        )).encode()  # fmt: skip
        path.write_bytes(struct.pack("<Q", choose(chance, (len(header), 2**40, 99 << 20))) + header)
    return _predict(root)


def _dim(content, chance):
    for axis in range(1, 4):
        struct.pack_into("<h", content, 40 + 2 * axis, int(choose(chance, (1, 2, 512, 2048, 32767))))


def _flat(content, chance):
    struct.pack_into("<8h", content, 40, 3, *chance.permutation([1, 1, 32767]).tolist(), 1, 1, 1, 1)


def _voxels(content, chance):
    side = choose(chance, (1e-30, 1e30, 1e-3, 1e5))
    struct.pack_into("<f", content, 76 + 4 * int(chance.integers(1, 4)), side)


def _extension(content, chance):
    struct.pack_into("<4b2i", content, 348, 1, 0, 0, 0, choose(chance, (2**31 - 16, 1 << 24, 16)), 6)
    struct.pack_into("<f", content, 108, choose(chance, (1e9, 1 << 24, 352)))


IMAGES = ("images/PH0001_0000.nii.gz", "rois/PH0001.nii.gz", "../dataset/imagesTr/PH0001_0001.nii.gz")
HEADERS = {"dim": _dim, "flat": _flat, "voxels": _voxels, "extension": _extension}


def _image(root, chance):
    """`check` or `predict` of an image that claims more than it has, or has much behind it."""
    where = choose(chance, IMAGES)
    path = root / "new" / where
    content = bytearray(gzip.decompress(path.read_bytes()))
    kind = choose(chance, (*HEADERS, "zeros", "sparse", "packed twice"))
    HEADERS.get(kind, lambda *_: None)(content, chance)
    packed = gzip.compress(bytes(content), 1)
    if kind == "zeros":
        packed += gzip.compress(bytes(1 << int(chance.integers(24, 31))), 9)
    path.write_bytes(gzip.compress(packed) if kind == "packed twice" else packed)
    if kind == "sparse":
        os.truncate(path, 1 << int(chance.integers(25, 42)))
    return ("check", "-d", root / "dataset", "--workers", 1) if ".." in where else _predict(root)


def _description(root, chance):
    """`check` of a dataset.json that lists much, in the places where lists belong."""
    count = many(chance, 200_000)
    names = [f"n{number}" for number in range(count)]
    field, value = choose(chance, (
        ("channel_names", dict(zip(map(str, range(count)), names, strict=True))),
        ("labels", {"background": 0, **dict.fromkeys(names, 1)}), ("autodls__clinical", names),
        ("autodls__target__positive", names), ("name", "n" * count),
    ))  # fmt: skip
    edit_json(root / "dataset/dataset.json", **{field: value})
    return choose(
        chance, (("check", "-d", root / "dataset", "--workers", 1), ("plan", "-d", root / "dataset", "--workers", 1))
    )


KINDS = {
    "table": _table, "json": _json, "model": _model, "weights": _weights, "image": _image, "description": _description,
}  # fmt: skip
