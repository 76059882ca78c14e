"""Encoders that are read as they are used: in order, ahead of use, verified each time, and never all at once."""

import subprocess
import sys
import threading
import time
import weakref

import pytest
import torch
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import brightness_encoder, random_input, tiny_model

from autodls.errors import ModelFolderError
from autodls.inference.model_files import HashAhead
from autodls.inference.model_folder import load_model
from autodls.inference.read_ahead import ReadAhead, Streamed
from autodls.records.files import sha256_of_bytes

CPU = torch.device("cpu")


class Counted:
    """Makes an encoder for each place, and knows which were asked for and how many are alive."""

    def __init__(self):
        self.asked, self.alive, self.most_alive = [], weakref.WeakSet(), 0
        self.lock = threading.Lock()

    def __call__(self, place):
        encoder = brightness_encoder(gain=1.0 + place)
        with self.lock:
            self.asked.append(place)
            self.alive.add(_Token.of(encoder))
            self.most_alive = max(self.most_alive, len(self.alive))
        return encoder


class _Token:
    """Lives as long as the encoder: a frozen dataclass with a dict in it cannot be referred to weakly in a set."""

    @staticmethod
    def of(encoder):
        token = _Token()
        object.__setattr__(encoder, "token", token)
        return token


def gain(encoder):
    return float(encoder.convolutions["conv1"][0][0, 0, 0, 0] * 147 / 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_pass_takes_every_encoder_in_order(count):
    ahead = ReadAhead(Counted(), count)
    for _ in range(3):
        assert [round(gain(ahead.take(place))) for place in range(count)] == list(range(1, count + 1))


def test_a_few_are_alive_at_a_time_and_each_is_read_once_a_pass():
    read = Counted()
    ahead = ReadAhead(read, 20)
    for place in range(20):
        ahead.take(place)
    assert sorted(read.asked) == list(range(20))
    assert read.most_alive <= 4


def test_the_next_ones_are_read_while_one_is_in_use():
    read = Counted()
    ahead = ReadAhead(read, 5)
    ahead.take(0)
    deadline = time.monotonic() + 10
    while len(read.asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(read.asked) == [0, 1, 2]


def test_a_failure_to_read_is_raised_where_the_encoder_is_taken():
    def read(place):
        if place == 1:
            raise ModelFolderError("altered")
        return brightness_encoder()

    ahead = ReadAhead(read, 3)
    ahead.take(0)
    with pytest.raises(ModelFolderError, match="altered"):
        ahead.take(1)


def test_the_encoders_of_a_fold_have_their_names_without_being_read():
    read = Counted()
    fold = Streamed(ReadAhead(read, 4), {"T1WI": 2, "T2WI": 3})
    assert list(fold) == ["T1WI", "T2WI"] and len(fold) == 2
    assert round(gain(fold["T2WI"])) == 4


# -- a model folder ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    write_model_folder(tmp_path / "model", tiny_model(small_volume_plan()))
    return tmp_path / "model"


def test_a_streamed_model_scores_the_same_bits_as_one_that_is_kept_in_any_company(folder):
    kept, streamed = load_model(folder, CPU), load_model(folder, CPU, streamed=True)
    pixels, present = random_input(kept.plan, cases=5)
    present[2, 0] = False
    expected = kept.score(pixels, present)
    for _ in range(2):
        assert (streamed.score(pixels, present).dls == expected.dls).all()
    assert (streamed.score(pixels[3:4], present[3:4]).dls == expected.dls[3:4]).all()


def test_an_encoder_that_changes_between_two_passes_is_refused(folder):
    streamed = load_model(folder, CPU, streamed=True)
    pixels, present = random_input(streamed.plan, cases=1)
    streamed.score(pixels, present)
    path = folder / "fold_1" / "T2WI.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelFolderError, match=r"fold_1/T2WI.safetensors: altered .* copy the model folder anew"):
        streamed.score(pixels, present)


@pytest.mark.parametrize("name", ["fold_0/CE-T1WI.safetensors", "fold_1/T2WI.safetensors"])
def test_an_altered_encoder_gives_no_score(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    streamed = load_model(folder, CPU, streamed=True)
    with pytest.raises(ModelFolderError, match=f"{name}: altered"):
        streamed.score(*random_input(streamed.plan, cases=1))


@pytest.mark.parametrize("name", ["fold_0/fusion.safetensors", "plan.json", "fingerprint.json"])
def test_what_is_not_streamed_is_verified_at_once(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 0x20
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ModelFolderError, match=name):
        load_model(folder, CPU, streamed=True)


def test_a_hash_is_reckoned_ahead_once_and_then_anew(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    for name in (path, other):
        name.write_bytes(b"before")
    digest = HashAhead([path])
    assert digest(path) == sha256_of_bytes(b"before")
    path.write_bytes(b"after")
    assert digest(path) == sha256_of_bytes(b"after")
    assert digest(other) == sha256_of_bytes(b"before")
    with pytest.raises(FileNotFoundError):
        HashAhead([tmp_path / "missing"])(tmp_path / "missing")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("autodls.cli.predict_command", ("torch", "scipy", "SimpleITK")),
        ("autodls.inference.predict", ("scipy", "SimpleITK", "monai", "pandas", "sklearn")),
    ],
)
def test_scoring_waits_for_no_import_that_it_can_do_without(module, unwanted):
    """A model folder is checked and hashed before torch is there; SciPy and SimpleITK take 0.2 s each."""
    program = f"import sys, {module}; sys.exit(' '.join(set(sys.modules) & {set(unwanted)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
