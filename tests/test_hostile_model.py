"""A model folder from elsewhere is refused in one line, with exit status 2, before anything of it is run or written."""

import json
import pickle
import re
import shutil
import struct
import time

import numpy as np
import pytest
import torch
from command_line import autodls
from safetensors.torch import load_file, save_file
from tiny_model_folder import SEQUENCES, write_model_folder
from tiny_models import tiny_model, tiny_plan

from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan

PARTS = ("weight", "bias")
FUSION, ENCODER = "fold_0/fusion.safetensors", "fold_1/T2WI.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model and the folder of its one new case."""
    root = tmp_path_factory.mktemp("made")
    write_model_folder(root / "model", tiny_model(tiny_plan(SEQUENCES, 32, 40, roi_channel="CE-T1WI", crop_mm=30.0)))
    return root


@pytest.fixture
def elsewhere(made, tmp_path, make_dataset):
    """A copy of the model, images and ROIs; the copy may be spoilt."""
    shutil.copytree(made / "model", tmp_path / "model")
    make_dataset(tmp_path / "new", training=1, held_out=0)
    return tmp_path


def predicted(root):
    new = root / "new"
    words = ("-i", new / "imagesTr", "--rois", new / "labelsTr", "-o", root / "out", "-m", root / "model")
    return autodls("predict", *words)


def refused(root, *parts):
    """Refused, within seconds; nothing is written outside OUT, and no score inside it."""
    before, start = listed(root), time.monotonic()
    answer = predicted(root)
    assert answer.status == 2, answer.err
    assert time.monotonic() - start < 10
    for part in parts:
        assert part in answer.complaint, answer.complaint
    assert listed(root) == before
    assert not [path.name for path in (root / "out").rglob("*") if path.suffix in (".csv", ".json", ".gz")]


def listed(root):
    return sorted(path for path in root.rglob("*") if "out" not in path.relative_to(root).parts)


def seal(root, **changes):
    """Change the record, and give it the hashes of the files as they are now: what an attacker would do."""
    path, model = root / "model" / "model.json", root / "model"
    content = json.loads(path.read_text()) | changes
    content["files"] = {name: sha256_of_file(model / name) for name in content["files"] if (model / name).is_file()}
    content |= {f"{name}_sha256": sha256_of_file(model / f"{name}.json") for name in ("plan", "fingerprint")}
    unsealed = json.dumps(content | {"record_sha256": ""}, indent=1, ensure_ascii=False) + "\n"
    path.write_text(json.dumps(content | {"record_sha256": sha256_of_bytes(unsealed.encode())}))


def test_the_model_as_it_was_locked_is_used(elsewhere):
    seal(elsewhere)
    answer = predicted(elsewhere)
    assert answer.status == 0, answer.err


def test_a_model_is_found_by_a_path_that_goes_up(elsewhere, monkeypatch):
    (elsewhere / "below").mkdir()
    monkeypatch.chdir(elsewhere / "below")
    answer = autodls("predict", "-i", "../new/imagesTr", "--rois", "../new/labelsTr", "-o", "out", "-m", "../model")
    assert answer.status == 0, answer.err


RESEALED = {
    "cut-off NaN": {"cutoff": float("nan")},
    "cut-off beyond 1": {"cutoff": 1.5},
    "cut-off below 0": {"cutoff": -0.1},
    "no folds": {"folds": 0},
    "folds below none": {"folds": -1},
    "a thousand million folds": {"folds": 10**9},
    "one fold more": {"folds": 3},
    "folds no number": {"folds": "two"},
    "slope 0": {"recalibration": {"slope": 0.0, "intercept": 0.0}},
    "slope below 0": {"recalibration": {"slope": -1.0, "intercept": 0.0}},
    "slope infinite": {"recalibration": {"slope": float("inf"), "intercept": 0.0}},
    "another format": {"format": "autodls-model/2"},
    "no format known": {"format": ["autodls-model/1"]},
    "channel with a path": {"channel_names": {"0": "../../T2WI", "1": "T2WI"}},
    "channel as a formula": {"channel_names": {"0": "=cmd|' /C calc'!A0", "1": "T2WI"}},
    "channels swapped": {"channel_names": {"0": "T2WI", "1": "CE-T1WI"}},
    "ending with a path": {"file_ending": "/../../secret.nii.gz"},
    "no labels": {"roi_labels": []},
    "rule to run": {"target": {"name": "x", "column": "y", "positive": "__import__('os')"}},
    "a field more": {"on_load": "print()"},
}


@pytest.mark.parametrize("changes", RESEALED.values(), ids=RESEALED)
def test_a_record_that_is_sealed_and_makes_no_sense(elsewhere, changes):
    seal(elsewhere, **changes)
    refused(elsewhere, "model")


NAMES = ["/etc/passwd", "../../secret", "fold_0/../../../secret", "C:\\secret", "CON", "\\\\host\\share", "", "."]


@pytest.mark.parametrize("name", NAMES)
def test_a_list_that_names_files_elsewhere(elsewhere, name):
    seal(elsewhere)
    path = elsewhere / "model" / "model.json"
    content = json.loads(path.read_text())
    content["files"][name] = content["files"].pop(FUSION)
    record = ModelRecord.model_validate(content)
    record.sealed().save(path)
    refused(elsewhere, "model.json")


@pytest.mark.parametrize("place", ["model.json", "plan.json", FUSION, ENCODER])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{" * 100_000, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe"])
def test_garbage(elsewhere, place, content):
    (elsewhere / "model" / place).write_bytes(content)
    if place != "model.json":
        seal(elsewhere)
    refused(elsewhere, place)


def test_a_record_that_never_ends(elsewhere):
    path = elsewhere / "model" / "model.json"
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(elsewhere, "model.json", "not a plain file")


def test_a_huge_record(elsewhere):
    with (elsewhere / "model" / "model.json").open("wb") as handle:
        handle.truncate(1 << 40)  # a terabyte that takes no place on the disk
    refused(elsewhere, "model.json", "larger than 64 MiB")


@pytest.mark.parametrize("place", [FUSION, ENCODER, "plan.json", "fingerprint.json"])
def test_a_file_of_a_terabyte_is_not_read(elsewhere, place):
    with (elsewhere / "model" / place).open("r+b") as handle:
        handle.truncate(1 << 40)
    refused(elsewhere, place.rpartition("/")[2], "larger than")
    start = time.monotonic()
    answer = autodls("verify", elsewhere / "model")
    assert answer.status == 2 and "larger than" in answer.err
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"cutoff": 0.5', '"cutoff": 0.1, "cutoff": 0.5'),
        ('"cutoff": 0.5', '"cutoff": NaN'),
        ('"cutoff": 0.5', '"cutoff": 1e999'),
        ('"cutoff": 0.5', '"cutoff": ' + "9" * 5000),
        ('"dataset": "tiny"', '"dataset": "\\ud800"'),
    ],
)
def test_a_record_that_readers_understand_differently(elsewhere, old, new):
    path = elsewhere / "model" / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    refused(elsewhere, "model.json")


class Creates:
    """Creates a file as soon as it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("place", [FUSION, ENCODER, "model.json", "plan.json"])
@pytest.mark.parametrize("dump", ["pickle", "torch", "torch in a safetensors header"])
def test_a_pickle_under_another_name_is_not_run(elsewhere, tmp_path_factory, place, dump):
    marker = tmp_path_factory.mktemp("marker") / "run"
    target = elsewhere / "model" / place
    if dump == "pickle":
        target.write_bytes(pickle.dumps(Creates(marker)))
    elif dump == "torch":
        torch.save({"weight": Creates(marker)}, target)
    else:
        payload = pickle.dumps(Creates(marker))
        target.write_bytes(struct.pack("<Q", len(payload)) + payload)
    if place != "model.json":
        seal(elsewhere)
    refused(elsewhere, place)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Creates(marker)))  # noqa: S301 - unpickled, it does what this test is afraid of
    assert marker.exists()


def header(path, change):
    """Change the JSON header of a safetensors file."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    names = json.loads(content[8 : 8 + size])
    changed = json.dumps(change(names) or names).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])


def claims(shape, offsets=None):
    def change(names):
        name = next(name for name in names if name != "__metadata__")
        names[name]["shape"] = shape
        if offsets:
            names[name]["data_offsets"] = offsets

    return change


def noted(**changes):
    """A note with `changes`."""

    def change(names):
        note = json.loads(names["__metadata__"]["autodls"]) | changes
        names["__metadata__"]["autodls"] = json.dumps(note)

    return change


HEADERS = {
    "terabytes": claims([10**6, 10**6], [0, 4 * 10**12]),
    "terabytes without voxels": claims([10**12, 10**12]),
    "more than a number holds": claims([2**63, 2]),
    "negative": claims([-1]),
    "outside": claims([1], [2**40, 2**40 + 4]),
    "overlapping": lambda names: [tensor.update(data_offsets=[0, 4]) for tensor in list(names.values())[1:]] and None,
    "note no object": lambda names: names["__metadata__"].update(autodls="[1]"),
    "note deep": lambda names: names["__metadata__"].update(autodls="[" * 100_000),
    "note without scales": lambda names: names["__metadata__"].update(autodls="{}"),
    "fused by the median": noted(fused_by="median"),
    "fused by nothing": noted(fused_by=None),
    "fused by two": noted(fused_by=["mean"]),
    "scale NaN": lambda names: names["__metadata__"].update(autodls='{"scales": {"dls": {"slope": NaN}}}'),
}  # fmt: skip


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_headers_of_weights(elsewhere, change):
    header(elsewhere / "model" / FUSION, change)
    seal(elsewhere)
    refused(elsewhere, "fusion.safetensors")


def test_a_header_longer_than_its_file(elsewhere):
    path = elsewhere / "model" / ENCODER
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    seal(elsewhere)
    refused(elsewhere, "T2WI.safetensors")


def tensors(place, change):
    """Change the tensors of a file."""

    def apply(root):
        path = root / "model" / place
        note = json.loads(path.read_bytes()[8 : 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]])["__metadata__"]
        content = dict(load_file(path))
        change(content)
        save_file({name: value.contiguous() for name, value in content.items()}, path, metadata=note)

    return apply


def put(name, make):
    return lambda content: content.update({name: make(content.get(name))})


COMPONENTS = "pca.T2WI/components"
GUIDED = {"conv1.weight": torch.ones(4, 7, 7, 2), "fc.weight": torch.ones(2, 8)}
SECOND_STAGE, LAST_STAGE = (
    [f"layer{stage}.0.{name}.{part}" for name in ("conv1", "conv2", "conv3", "downsample.0") for part in PARTS]
    for stage in (2, 4)
)
TENSORS = {
    "a tensor more": tensors(FUSION, put("more", lambda _: torch.zeros(3))),
    "a tensor more in the fusion": tensors(FUSION, put("fusion.more", lambda _: torch.zeros(3))),
    "a sequence more": tensors(FUSION, put("pca.X/mean", lambda _: torch.zeros(3))),
    "a tensor less": tensors(FUSION, lambda content: content.pop(COMPONENTS)),
    "a layer more": tensors(FUSION, put("fusion.encoder.layers.1.norm1.weight", lambda _: torch.ones(8))),
    "rows without columns": tensors(FUSION, put(COMPONENTS, lambda _: torch.zeros(10**9, 0))),
    "wrong shape": tensors(FUSION, put(COMPONENTS, lambda old: old[:, :2])),
    "transposed mean": tensors(FUSION, put("pca.T2WI/mean", lambda old: old[None])),
    "scale of two": tensors(FUSION, put("pca.T2WI/scale", lambda old: torch.ones(2))),
    "doubles": tensors(FUSION, put(COMPONENTS, lambda old: old.double())),
    "whole numbers": tensors(FUSION, put(COMPONENTS, lambda old: old.int())),
    "complex": tensors(FUSION, put(COMPONENTS, lambda old: old.to(torch.complex64))),
    "NaN": tensors(FUSION, put("pca.T2WI/mean", lambda old: old * np.nan)),
    "infinity": tensors(FUSION, put("fusion.position", lambda old: old + np.inf)),
    "encoder NaN": tensors(ENCODER, put("conv1.weight", lambda old: old * np.nan)),
    "encoder doubles": tensors(ENCODER, put("conv1.weight", lambda old: old.double())),
    "encoder wrong shape": tensors(ENCODER, put("layer1.0.conv2.weight", lambda old: old[:, :2])),
    "encoder wrong norm": tensors(ENCODER, put("bn1.bias", lambda _: torch.zeros(1))),
    "encoder without end": tensors(ENCODER, lambda content: content.pop("fc.weight")),
    "encoder of three classes": tensors(ENCODER, put("fc.weight", lambda old: torch.ones(3, 4))),
    "encoder guided by the ROI": tensors(ENCODER, lambda content: content.update(GUIDED)),
    "encoder of another stride": tensors(ENCODER, lambda content: [content.pop(name) for name in LAST_STAGE]),
    "encoder without its second stage": tensors(ENCODER, lambda content: [content.pop(name) for name in SECOND_STAGE]),
    "encoder of one axis": tensors(ENCODER, put("conv1.weight", lambda _: torch.ones(4))),
    "convolution of no layer": tensors(ENCODER, put("extra.conv1.weight", lambda _: torch.zeros(1, 1, 1, 1))),
    "block out of order": tensors(ENCODER, put("layer9.0.conv1.weight", lambda _: torch.zeros(4, 4, 1, 1))),
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_tensors_that_do_not_fit_the_plan(elsewhere, change):
    change(elsewhere)
    seal(elsewhere)
    refused(elsewhere, "safetensors", "does not fit the plan")


def test_weights_that_overflow_give_no_score(elsewhere):
    tensors(FUSION, put("fusion.decoder.0.weight", lambda old: old * 0 + 3e38))(elsewhere)
    seal(elsewhere)
    answer = predicted(elsewhere)
    assert answer.status == 1 and "no finite score" in answer.err and "Traceback" not in answer.err


PLANS = {
    "layers": ("network", "fusion", "layers"),
    "patch": ("network", "fusion", "patch_px"),
    "PCA": ("network", "pca_dims"),
}


@pytest.mark.parametrize("field", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("value", [2048, 10**9])
def test_a_plan_that_asks_for_terabytes(elsewhere, field, value):
    path = elsewhere / "model" / "plan.json"
    content = json.loads(path.read_text())
    inner = content
    for name in field[:-1]:
        inner = inner[name]
    inner[field[-1]] = value
    path.write_text(json.dumps(content))
    seal(elsewhere)
    answer = predicted(elsewhere)
    assert answer.status == 2 or field[-1] == "patch_px"  # a patch is cut to the map, and then fits
    assert "Traceback" not in answer.err


def test_a_plan_of_another_format(elsewhere):
    path = elsewhere / "model" / "plan.json"
    path.write_text(path.read_text().replace("autodls-plan/1", "autodls-plan/9"))
    seal(elsewhere)
    refused(elsewhere, "plan.json", "autodls-plan/9")


class TestLinks:
    def test_a_fold_that_lies_elsewhere(self, elsewhere, tmp_path_factory):
        outside = tmp_path_factory.mktemp("outside") / "fold"
        shutil.move(elsewhere / "model" / "fold_0", outside)
        (elsewhere / "model" / "fold_0").symlink_to(outside)
        refused(elsewhere, "fold_0", "not a plain file")

    def test_a_pipe(self, elsewhere):
        import os

        path = elsewhere / "model" / ENCODER
        path.unlink()
        os.mkfifo(path)
        refused(elsewhere, "T2WI.safetensors", "not a plain file")

    def test_a_missing_fold(self, elsewhere):
        shutil.rmtree(elsewhere / "model" / "fold_1")
        refused(elsewhere, "fold_1", "missing")


def test_a_plan_names_weights_elsewhere_and_nothing_opens_them(elsewhere, monkeypatch):
    """`encoder_weights` of a received plan is a record of the past: predict never reads or downloads it."""
    path = elsewhere / "model" / "plan.json"
    plan = Plan.load(path, "")
    network = plan.network.model_copy(update={"encoder_weights": str(elsewhere / "secret.pth")})
    plan.model_copy(update={"network": network}).save(path)
    seal(elsewhere)
    monkeypatch.setattr(torch, "load", None)
    assert predicted(elsewhere).status == 0
    assert not re.search("secret", (elsewhere / "out" / "scores.csv").read_text())
