"""`sign`, `verify --key`, `predict --key`: whose a model is, held to openssl and to the vectors of RFC 8032."""

import base64
import json
import os
import shutil
import subprocess
import sys

import pytest
from command_line import autodls, edit_json
from tiny_candidates import candidate
from tiny_keys import PKCS8, RFC, pem, write_pair
from tiny_model_folder import write_model_folder

import autodls as package
from autodls import Study
from autodls.errors import ArgumentError, InputError, ModelFolderError
from autodls.records.files import sha256_of_bytes, sha256_of_file, write_text
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.signature import ED25519_SPKI, Signature, fingerprint_of
from autodls.stages.sign import PASSPHRASE, sign
from autodls.verify.ed25519 import is_signature, read_private_key, read_public_key
from autodls.verify.signature import require_signed

pytest.importorskip("cryptography")


@pytest.fixture(scope="session")
def openssl():
    """Runs openssl, where it knows ed25519."""
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("openssl is not installed")

    def run(*words, check=True):
        return subprocess.run([found, *map(str, words)], capture_output=True, check=check)

    return run


@pytest.fixture
def keys(tmp_path):
    return write_pair(tmp_path / "keys", 0)


@pytest.fixture
def other(tmp_path):
    return write_pair(tmp_path / "other", 1)


@pytest.fixture(params=["model", "candidate", "integrated"])
def folder(request, tmp_path):
    """A locked model, a locked candidate, and a candidate that has networks."""
    place = tmp_path / "delivered"
    if request.param == "model":
        write_model_folder(place)
    elif request.param == "candidate":
        candidate().save(place / CANDIDATE)
    else:
        write_integrated(place)
    return place


def write_integrated(place):
    from tiny_candidates import integrated_candidate

    write_model_folder(place / "model")
    integrated_candidate(networks_sha256=sha256_of_file(place / "model" / "model.json")).save(place / CANDIDATE)


def record_in(folder):
    return folder / (CANDIDATE if (folder / CANDIDATE).exists() else "model.json")


# -- ed25519 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(RFC)))
def test_vectors_of_the_rfc(tmp_path, number):
    _, public, message, signature = (bytes.fromhex(one) for one in RFC[number])
    private_pem, public_pem = write_pair(tmp_path, number)
    key = read_private_key(private_pem, str)
    assert key.public == read_public_key(public_pem) == public
    assert key.sign(message) == signature
    assert is_signature(public, signature, message)
    assert not is_signature(public, signature, message + b"\0")
    assert not is_signature(public, bytes([signature[0] ^ 1]) + signature[1:], message)


def test_openssl_says_the_same(folder, keys, openssl, tmp_path):
    """Keys that it makes are read, and it verifies our signature of the bytes of the record."""
    private, public = tmp_path / "made.pem", tmp_path / "made.pub"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    assert autodls("sign", folder, "--key", private).status == 0
    made = Signature.load(folder / "signature.json", "")
    assert made.public_key in public.read_text()
    der = openssl("pkey", "-pubin", "-in", public, "-outform", "DER").stdout
    assert made.key_bytes == der[-32:] and fingerprint_of(made.key_bytes) in openssl_sha256(openssl, der, tmp_path)
    (tmp_path / "bytes").write_bytes(made.signature_bytes)
    words = ("pkeyutl", "-verify", "-pubin", "-rawin", "-in", record_in(folder), "-sigfile", tmp_path / "bytes")
    assert b"Verified Successfully" in openssl(*words, "-inkey", public).stdout
    assert openssl(*words, "-inkey", keys[1], check=False).returncode != 0


def openssl_sha256(openssl, content, folder):
    (folder / "der").write_bytes(content)
    return openssl("dgst", "-sha256", folder / "der").stdout.decode()


# -- sign and verify ---------------------------------------------------------------------------------------------------


def test_a_signed_folder_verifies_wherever_it_lies_and_signing_again_changes_nothing(folder, keys, tmp_path):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = autodls("sign", folder, "--key", keys[0])
    assert answer.status == 0, answer.err
    path = folder / "signature.json"
    assert str(path) in answer.out and f"SHA-256 {fingerprint_of(read_public_key(keys[1]))}" in answer.out
    assert {path: path.read_bytes() for path in before} == before
    assert {one for one in folder.rglob("*") if one.is_file()} == {*before, path}
    written = path.read_bytes()
    assert autodls("sign", folder, "--key", keys[0]).status == 0 and path.read_bytes() == written
    there = shutil.copytree(folder, tmp_path / "elsewhere")
    shutil.rmtree(folder)
    found = autodls("verify", there, "--key", keys[1])
    assert found.status == 0, found.err
    assert f"fits          {record_in(there).name} is signed with the key" in found.out
    assert "hashes are no signature" not in found.out
    plain = autodls("verify", there)
    assert plain.status == 0 and "whose key that is shows with --key PUBLIC.pem" in plain.out
    assert require_signed(there, keys[1]) == sha256_of_file(record_in(there))


def test_it_holds_no_date_and_no_name(folder, keys):
    content = json.loads(sign(folder, key=keys[0]).path.read_text())
    assert set(content) == {"format", "algorithm", "signed", "signed_sha256", "public_key", "signature"}
    assert content["algorithm"] == "ed25519" and content["signed_sha256"] == sha256_of_file(record_in(folder))


def no_signature(folder, keys, other):
    (folder / "signature.json").unlink()


def another_key(folder, keys, other):
    (folder / "signature.json").unlink()
    sign(folder, key=other[0])


def another_key_under_our_name(folder, keys, other):
    """What somebody does who has no key: his own signature, with ours written over it."""
    name = json.loads((folder / "signature.json").read_text())["public_key"]
    another_key(folder, keys, other)
    edit_json(folder / "signature.json", public_key=name)


def record_changed(folder, keys, other):
    """Sealed anew by somebody who knows the format: in order by its hashes."""
    from autodls.records.locked_candidate import LockedCandidate
    from autodls.records.model import ModelRecord

    path = record_in(folder)
    kind = LockedCandidate if path.name == CANDIDATE else ModelRecord
    kind.load(path, "").model_copy(update={"cutoff": 0.99}).sealed().save(path)


def record_and_its_hash_changed(folder, keys, other):
    record_changed(folder, keys, other)
    edit_json(folder / "signature.json", signed_sha256=sha256_of_file(record_in(folder)))


def no_record_of_a_signature(folder, keys, other):
    (folder / "signature.json").write_text("{}")


def a_signature_that_never_ends(folder, keys, other):
    (folder / "signature.json").unlink()
    (folder / "signature.json").symlink_to("/dev/zero")


def a_signature_elsewhere(folder, keys, other):
    (folder / "signature.json").rename(folder.parent / "signature.json")
    (folder / "signature.json").symlink_to(folder.parent / "signature.json")


def a_signature_of_a_terabyte(folder, keys, other):
    with (folder / "signature.json").open("r+b") as handle:
        handle.truncate(1 << 40)


def a_folder_in_its_place(folder, keys, other):
    no_signature(folder, keys, other)
    (folder / "signature.json").mkdir()


WAYS = [
    (no_signature, "no signature (signature.json) lies there"),
    (another_key, "signed with another key (SHA-256 "),
    (another_key_under_our_name, "the signature is not one that this key has made"),
    (record_changed, ".json: changed since it was signed (SHA-256 "),
    (record_and_its_hash_changed, "the signature is not one that this key has made"),
    (no_record_of_a_signature, "signature.json: field"),
    (a_signature_that_never_ends, "signature.json: a link"),
    (a_signature_elsewhere, "signature.json: a link"),
    (a_signature_of_a_terabyte, "signature.json: cannot be read (larger than"),
    (a_folder_in_its_place, "signature.json: cannot be read (not a plain file"),
]


@pytest.mark.parametrize("folder", ["model", "candidate"], indirect=True)
@pytest.mark.parametrize(("alter", "said"), WAYS, ids=lambda one: getattr(one, "__name__", ""))
def test_what_is_not_signed_is_told_apart_and_not_used(folder, keys, other, alter, said, tmp_path):
    sign(folder, key=keys[0])
    alter(folder, keys, other)
    found = autodls("verify", folder, "--key", keys[1])
    assert found.status == 2 and said in found.err, found.err
    for extra in ((), ("--dry-run",)):
        words = ("-i", tmp_path / "nowhere", "--rois", tmp_path / "nowhere", "-m", folder, "-o", tmp_path / "out")
        answer = autodls("predict", *words, "--key", keys[1], *extra)
        assert answer.status == 2 and said in answer.complaint and not (tmp_path / "out").exists(), answer.err
    with pytest.raises(ModelFolderError):
        package.load_model(folder, "cpu", key=keys[1])


@pytest.mark.parametrize("name", ["fold_0/fusion.safetensors", "fold_1/T2WI.safetensors", "plan.json"])
@pytest.mark.parametrize("inner", [False, True])
def test_a_file_that_was_changed_is_named_before_anything_is_scored(tmp_path, keys, name, inner):
    place = tmp_path / "delivered"
    write_integrated(place) if inner else write_model_folder(place)
    sign(place, key=keys[0])
    path = place / ("model" if inner else "") / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelFolderError, match=name.rpartition("/")[2]):
        require_signed(place, keys[1])
    words = ("-i", tmp_path, "--rois", tmp_path, "-m", place, "-o", tmp_path / "out")
    answer = autodls("predict", *words, "--key", keys[1])
    assert answer.status == 2 and name in answer.complaint and not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["model", "candidate"], indirect=True)
def test_without_a_key_a_stale_signature_does_not_fit(folder, keys, other):
    sign(folder, key=keys[0])
    record_changed(folder, keys, other)
    found = autodls("verify", folder)
    assert found.status == 2 and "changed since it was signed" in found.err


@pytest.mark.parametrize("folder", ["model", "candidate"], indirect=True)
def test_without_the_extra_it_is_said_and_all_else_is_checked(folder, keys, monkeypatch):
    sign(folder, key=keys[0])
    monkeypatch.setattr("autodls.verify.signature.can_check", lambda: False)
    monkeypatch.setattr("autodls.verify.ed25519.can_check", lambda: False)
    found = autodls("verify", folder)
    assert found.status == 0 and "pip install 'autodls[sign]' to check it" in found.out
    for words in (("verify", folder, "--key", keys[1]), ("sign", folder, "--key", keys[0])):
        answer = autodls(*words)
        assert answer.status == 2 and "pip install 'autodls[sign]'" in answer.complaint


def test_scores_are_the_same_with_a_signature(tmp_path, keys, make_dataset):
    data, folder = make_dataset(tmp_path / "data", training=2, held_out=0), tmp_path / "model"
    write_model_folder(folder)
    given = (data / "imagesTr", data / "labelsTr")
    before = package.load_model(folder, "cpu").predict(*given)
    sign(folder, key=keys[0])
    assert package.load_model(folder, "cpu", key=keys[1]).predict(*given) == before
    words = ("-i", given[0], "--rois", given[1], "-m", folder, "-o", tmp_path / "out", "--device", "cpu")
    answer = autodls("predict", *words, "--key", keys[1])
    assert answer.status == 0, answer.err
    found = Study(data).predict(*given[:1], rois=given[1], model=folder, key=keys[1], device="cpu")
    assert found == before
    assert package.load_model(folder).verify(keys[1]).fits


def test_a_record_that_is_exchanged_after_its_signature_was_checked(tmp_path, keys, make_dataset, monkeypatch):
    data, folder = make_dataset(tmp_path / "data", training=2, held_out=0), tmp_path / "model"
    write_model_folder(folder)
    sign(folder, key=keys[0])

    def exchange(place, key):
        checked = require_signed(place, key)
        record_changed(place, None, None)
        return checked

    monkeypatch.setattr("autodls.stages.predict.require_signed", exchange)
    words = ("-i", data / "imagesTr", "--rois", data / "labelsTr", "-m", folder, "-o", tmp_path / "out")
    answer = autodls("predict", *words, "--key", keys[1], "--device", "cpu")
    assert answer.status == 2 and "was exchanged after it was verified" in answer.complaint


@pytest.mark.parametrize("made", ["update", "export"])
def test_a_model_that_is_exchanged_after_it_was_loaded_is_not_built_on(tmp_path, made, make_dataset):
    data, folder = make_dataset(tmp_path / "data", training=24, held_out=0), tmp_path / "model"
    write_model_folder(folder)
    model = package.load_model(folder, "cpu")
    record_changed(folder, None, None)
    given = {"update": (data, tmp_path / "out"), "export": (tmp_path / "out",)}[made]
    with pytest.raises(ModelFolderError, match=r"model.json: was exchanged after it was verified"):
        getattr(model, made)(*given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["candidate", "integrated"], indirect=True)
@pytest.mark.parametrize("signed", [True, False])
def test_a_candidate_that_is_exchanged_after_it_was_loaded_does_not_score(
    folder, keys, make_dataset, signed, tmp_path, monkeypatch
):
    """Its record is read once more by each `predict`, weeks after it was verified where a service holds it."""
    monkeypatch.setattr("autodls.candidates.radiomics.library", lambda: "made up 1")
    data = make_dataset(tmp_path / "data", training=2, held_out=0)
    if signed:
        sign(folder, key=keys[0])
    model = package.load_model(folder, "cpu", key=keys[1] if signed else None)
    record_changed(folder, None, None)
    (table := tmp_path / "table.csv").write_text("case,age,stage\nA,60,II\n")
    given = table if model.candidate.clinical_columns else None
    with pytest.raises(ModelFolderError, match=r"candidate.json: was exchanged after it was verified"):
        model.predict(data / "imagesTr", data / "labelsTr", clinical=given)


@pytest.mark.parametrize("folder", ["model", "candidate"], indirect=True)
def test_nothing_that_is_not_whole_is_signed(folder, keys):
    record_in(folder).write_text(record_in(folder).read_text().replace("0.5", "0.4", 1))
    answer = autodls("sign", folder, "--key", keys[0])
    assert answer.status == 2 and "nothing is signed: " in answer.complaint and "altered" in answer.complaint
    assert not (folder / "signature.json").exists()


@pytest.mark.parametrize("folder", ["model", "candidate"], indirect=True)
def test_the_signature_of_another_is_not_replaced_and_a_stale_one_of_ours_is(folder, keys, other):
    sign(folder, key=other[0])
    there = (folder / "signature.json").read_bytes()
    answer = autodls("sign", folder, "--key", keys[0])
    assert answer.status == 2 and "signed with another key" in answer.complaint and "remove it" in answer.complaint
    assert (folder / "signature.json").read_bytes() == there
    record_changed(folder, keys, other)
    assert autodls("sign", folder, "--key", other[0]).status == 0
    assert autodls("verify", folder, "--key", other[1]).status == 0


@pytest.mark.parametrize("has_card", [False, True])
def test_a_card_that_the_record_has_no_hash_of_is_said_not_to_be_signed(tmp_path, keys, has_card):
    place = tmp_path / "delivered"
    if has_card:
        write_text(place / "MODEL_CARD.md", "in words")
    candidate(card_sha256=sha256_of_bytes(b"in words") if has_card else None).save(place / CANDIDATE)
    answer = autodls("sign", place, "--key", keys[0])
    assert answer.status == 0 and ("not signed with the rest: MODEL_CARD.md" in answer.err) != has_card


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_what_is_no_model_is_not_signed(tmp_path, keys, place):
    (tmp_path / "empty").mkdir()
    answer = autodls("sign", tmp_path / place, "--key", keys[0])
    assert answer.status == 2 and "no model.json and no candidate.json there" in answer.complaint


def test_a_workspace_is_not_signed(tmp_path, keys):
    (tmp_path / "plan.json").write_text("{}")
    answer = autodls("verify", tmp_path, "--key", keys[1])
    assert answer.status == 2 and f"give {tmp_path / 'model'}" in answer.complaint


# -- keys --------------------------------------------------------------------------------------------------------------


def rsa(path, private):
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    key = generate_private_key(65537, 2048)
    if private:
        words = (form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        path.write_bytes(key.private_bytes(*words))
    else:
        words = (form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(key.public_key().public_bytes(*words))


def terabyte(path, private):
    with path.open("wb") as handle:
        handle.truncate(1 << 40)


def damaged(path, private):
    path.write_text(pem("PRIVATE KEY" if private else "PUBLIC KEY", (PKCS8 if private else ED25519_SPKI) + b"short"))


def link_that_never_ends(path, private):
    path.symlink_to("/dev/zero")


def two_keys(path, private):
    pairs = [write_pair(path.with_name(str(number)), number) for number in range(2)]
    path.write_text("".join(pair[0 if private else 1].read_text() for pair in pairs))


BAD_KEYS = [
    (lambda path, private: None, "no such file"),
    (lambda path, private: path.mkdir(), "not a plain file"),
    (lambda path, private: os.mkfifo(path), "not a plain file"),
    (link_that_never_ends, "not a plain file"),
    (terabyte, "larger than 64 KiB"),
    (lambda path, private: path.write_bytes(b""), "PEM"),
    (lambda path, private: path.write_bytes(bytes(range(256))), "PEM"),
    (damaged, "not a key in PEM"),
    (rsa, "a key of another kind (RSA"),
    (lambda path, private: path.write_text(pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0")), "private key|not a key"),
    (lambda path, private: path.write_text(pem("CERTIFICATE", b"x")), "no private key|not a key"),
    (two_keys, "holds several keys"),
]


@pytest.mark.parametrize(("make", "said"), BAD_KEYS)
@pytest.mark.parametrize("private", [True, False])
def test_what_is_no_key_is_one_line(tmp_path, make, said, private):
    candidate().save(tmp_path / "delivered" / CANDIDATE)
    path = tmp_path / "key.pem"
    make(path, private)
    answer = autodls("sign" if private else "verify", tmp_path / "delivered", "--key", path)
    found = [part for part in said.split("|") if part in answer.complaint]
    private_wanted = private and "holds no private key" in answer.complaint
    assert answer.status == 2 and str(path) in answer.complaint and (found or private_wanted), answer.err
    assert not (tmp_path / "delivered" / "signature.json").exists()


def test_one_half_is_not_taken_for_the_other(tmp_path, keys):
    candidate().save(tmp_path / "delivered" / CANDIDATE)
    answer = autodls("sign", tmp_path / "delivered", "--key", keys[1])
    assert answer.status == 2 and "holds no private key" in answer.complaint
    answer = autodls("verify", tmp_path / "delivered", "--key", keys[0])
    assert answer.status == 2 and "stays with its owner" in answer.complaint


class TestPassphrase:
    @pytest.fixture
    def encrypted(self, tmp_path, openssl):
        path = tmp_path / "encrypted.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:open sesame", "-out", path)
        assert "ENCRYPTED" in path.read_text()
        candidate().save(tmp_path / "delivered" / CANDIDATE)
        return path

    def test_is_asked_for(self, encrypted, tmp_path):
        made = sign(tmp_path / "delivered", key=encrypted, ask=lambda: "open sesame")
        assert made.path.is_file()

    def test_comes_from_the_environment_and_is_said_nowhere(self, encrypted, tmp_path, monkeypatch):
        monkeypatch.setenv(PASSPHRASE, "open sesame")
        log = tmp_path / "log.txt"
        answer = autodls("sign", tmp_path / "delivered", "--key", encrypted, "--log", log)
        assert answer.status == 0, answer.err
        written = [log.read_text(), (tmp_path / "delivered" / "signature.json").read_text(), answer.out, answer.err]
        assert not [text for text in written if "sesame" in text]

    @pytest.mark.parametrize("given", ["", "wrong", "ö" * 5000])
    def test_is_wrong(self, encrypted, tmp_path, monkeypatch, given):
        monkeypatch.setenv(PASSPHRASE, given)
        answer = autodls("sign", tmp_path / "delivered", "--key", encrypted)
        assert answer.status == 2 and "cannot be opened with this passphrase" in answer.complaint

    def test_cannot_be_asked_for(self, encrypted, tmp_path, monkeypatch):
        monkeypatch.delenv(PASSPHRASE, raising=False)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
        answer = autodls("sign", tmp_path / "delivered", "--key", encrypted)
        assert answer.status == 2 and f"set {PASSPHRASE}" in answer.complaint

    def test_is_not_asked_of_a_plain_key(self, keys, tmp_path):
        def never():
            raise AssertionError("asked")

        candidate().save(tmp_path / "delivered" / CANDIDATE)
        assert sign(tmp_path / "delivered", key=keys[0], ask=never).path.is_file()


# -- the record --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "autodls-signature/2"),
        ("algorithm", "none"),
        ("signed", "../model.json"),
        ("signed_sha256", "0" * 63),
        ("public_key", base64.b64encode(bytes(44)).decode()),
        ("public_key", base64.b64encode(ED25519_SPKI + bytes(31)).decode()),
        ("public_key", base64.b64encode(ED25519_SPKI + bytes(32)).decode() + "\n"),
        ("signature", base64.b64encode(bytes(63)).decode()),
        ("signature", "ö"),
        ("note", "hello"),
    ],
)
def test_a_record_that_is_none(tmp_path, keys, field, value):
    candidate().save(tmp_path / "delivered" / CANDIDATE)
    path = sign(tmp_path / "delivered", key=keys[0]).path
    content = json.loads(path.read_text()) | {field: value}
    with pytest.raises(InputError, match=field):
        Signature.parse(content, "signature.json", "")


# -- what else touches a signed model ----------------------------------------------------------------------------------


def test_a_bundle_of_a_signed_model_and_a_new_training(tmp_path, keys):
    from autodls.stages.places import require_trained

    write_model_folder(tmp_path / "model")
    sign(tmp_path / "model", key=keys[0])
    require_trained([tmp_path / "model"])  # --restart throws it away with its model
    answer = autodls("export", "-m", tmp_path / "model", "-o", tmp_path / "bundle", "--to", "monai")
    assert answer.status == 0, answer.err
    inner = tmp_path / "bundle" / "models"
    assert autodls("verify", inner).status == 0
    with pytest.raises(ModelFolderError, match="no signature"):
        require_signed(inner, keys[1])


def test_the_study_signs_its_model(tmp_path, keys):
    write_model_folder(tmp_path / "work" / "model")
    made = Study(tmp_path, tmp_path / "work").sign(keys[0], tmp_path / "work" / "model")
    assert made.path == tmp_path / "work" / "model" / "signature.json"
    with pytest.raises(ArgumentError, match="no such file"):
        Study(tmp_path).sign(tmp_path / "none.pem", tmp_path / "work" / "model")
