"""`sign`: whose a locked model is, in a small file beside it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError, ModelFolderError
from autodls.records.locked_candidate import CANDIDATE, CARD
from autodls.records.model_folders import ModelFolder
from autodls.records.signature import Signature, fingerprint_of
from autodls.verify.candidate import verify_candidate
from autodls.verify.chain import verify_model
from autodls.verify.ed25519 import read_private_key
from autodls.verify.signature import record_bytes, record_of
from autodls.watch import SILENT, Watch

PASSPHRASE = "AUTODLS_KEY_PASSPHRASE"
"""The environment variable that may hold the passphrase of an encrypted key; no option does, as others see those."""


@dataclass(frozen=True)
class SignedModel:
    """Where the signature lies, what it is, and the fingerprint of the key that it can be checked by."""

    path: Path
    signature: Signature
    fingerprint: str


def sign(model: Path, *, key: Path, ask: Callable[[], str] | None = None, watch: Watch = SILENT) -> SignedModel:
    """Sign the record of a model folder, or of a locked candidate, with the private `key`, of ed25519 in a PEM file.

    The record holds the hashes of all other files, so that these are signed with it; they are verified before. An
    encrypted key is opened with the passphrase of the environment, else with what `ask` gives. Signing again changes no
    byte.

    Raises ModelFolderError where the model is not whole, ArgumentError where `model` is none or is signed with another
    key, where the key is none, and where its passphrase is missing or wrong.
    """
    record, folder = record_of(model), ModelFolder(model)
    if not record.is_file():
        raise ArgumentError(f"{model}: no model.json and no candidate.json there; give the folder of a locked model")
    private = read_private_key(key, lambda: _passphrase(key, ask))
    content = record_bytes(record)
    links = verify_candidate(model) if record.name == CANDIDATE else verify_model(folder)
    faults = [fault for link in links for fault in link.faults]
    if faults or record_bytes(record) != content:
        raise ModelFolderError(f"nothing is signed: {(*faults, f'{record}: was exchanged meanwhile')[0]}")
    if any(not link.checked and link.name.startswith(CARD) for link in links):
        watch.note(f"not signed with the rest: {CARD}, of which the record has no hash")
    made = Signature.of(record, content, private.public, private.sign(content))
    if folder.signature.exists():
        _require_same_key(folder.signature, made)
    made.save(folder.signature)
    return SignedModel(folder.signature, made, fingerprint_of(private.public))


def _passphrase(key: Path, ask: Callable[[], str] | None) -> str:
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return given
    if ask is None:
        raise ArgumentError(f"--key {key}: is encrypted; run this on a terminal, or set {PASSPHRASE} to its passphrase")
    return ask()


def _require_same_key(path: Path, made: Signature) -> None:
    """One model has one signature: somebody else's is not replaced."""
    there = Signature.load(path, "remove it to sign anew", ModelFolderError)
    if there.public_key != made.public_key:
        raise ArgumentError(
            f"{path}: signed with another key (SHA-256 {fingerprint_of(there.key_bytes)}) already; remove it to sign "
            f"with yours ({fingerprint_of(made.key_bytes)})"
        )
