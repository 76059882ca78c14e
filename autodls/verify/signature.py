"""Whose a locked model is: the signature beside its record, which holds the hashes of all other files."""

from dataclasses import dataclass
from pathlib import Path

from autodls.errors import InputError, ModelFolderError
from autodls.inference.model_copy import hashes_of
from autodls.inference.model_files import REPAIR, CheckedFolder, check_model_folder
from autodls.limits import MOST_JSON_BYTES
from autodls.records.files import read_bounded, sha256_of_bytes
from autodls.records.locked_candidate import CANDIDATE, CARD, NETWORKS, LockedCandidate
from autodls.records.model import require_unaltered
from autodls.records.model_folders import SIGNATURE, ModelFolder
from autodls.records.signature import Signature, fingerprint_of
from autodls.verify.chain import Link
from autodls.verify.ed25519 import can_check, is_signature, read_public_key

_ASK = "ask its maker for a signed copy"
_NO_SIGNATURE = "hashes are no signature; whoever alters a file can seal it anew, so trust its sender, not its seal"
NO_SIGNATURE = Link(f"who made it: {_NO_SIGNATURE}", checked=False)


def record_of(folder: Path) -> Path:
    """The record of the model or the locked candidate in `folder`, which holds the hashes of its other files."""
    record = ModelFolder(folder).record
    return record if record.exists() or not (folder / CANDIDATE).is_file() else folder / CANDIDATE


def record_bytes(path: Path) -> bytes:
    """The bytes of a record, which are what is signed; raises ModelFolderError where they cannot be read."""
    try:
        return read_bounded(path, MOST_JSON_BYTES)
    except OSError as failure:
        raise ModelFolderError(f"{path}: cannot be read ({failure.strerror}); {REPAIR}") from None


@dataclass(frozen=True)
class Signed:
    """The signature of a folder as it lies there, and the bytes that it should be of."""

    record: Path
    content: bytes
    signature: Signature

    @classmethod
    def read(cls, folder: Path) -> "Signed":
        """Raises ModelFolderError where there is no signature, or none that can be read."""
        record, path = record_of(folder), folder / SIGNATURE
        if not path.is_symlink() and not path.exists():
            raise ModelFolderError(f"{folder}: no signature ({SIGNATURE}) lies there; {_ASK}")
        if path.is_symlink():
            raise ModelFolderError(f"{path}: a link, no plain file; {_ASK}")
        signature = Signature.load(path, _ASK, ModelFolderError)
        return cls(record, record_bytes(record), signature)

    @property
    def sha256(self) -> str:
        """Of the record."""
        return sha256_of_bytes(self.content)

    def fault(self, key: bytes) -> str | None:
        """Why this is no signature of the record by the public `key`; None where it is one."""
        path, found = self.record.with_name(SIGNATURE), self.signature
        if found.key_bytes != key:
            return (
                f"{path}: signed with another key (SHA-256 {fingerprint_of(found.key_bytes)}, expected "
                f"{fingerprint_of(key)}); {_ASK}, or for its key if you know that it has a new one"
            )
        if found.signed != self.record.name or found.signed_sha256 != self.sha256:
            return (
                f"{self.record}: changed since it was signed (SHA-256 {self.sha256[:12]}, signed was {found.signed} "
                f"{found.signed_sha256[:12]}); {_ASK}"
            )
        if not is_signature(key, found.signature_bytes, self.content):
            return f"{path}: the signature is not one that this key has made, it was altered; {_ASK}"
        return None


def require_signed(folder: Path, key: Path) -> str:
    """The SHA-256 of the record of the model, or locked candidate, in `folder`, signed with the public `key`.

    Every file of the model is hashed. Raises ModelFolderError, in one line that says which, where there is no
    signature, it is of another key, the record was changed since, or a file is not the one of the record; ArgumentError
    for a `key` that is none.
    """
    public = read_public_key(key)
    signed = Signed.read(folder)
    if (fault := signed.fault(public)) is not None:
        raise ModelFolderError(fault)
    if signed.record.name == CANDIDATE:
        _require_candidate(folder)
    else:
        _require_files(check_model_folder(folder))
    return signed.sha256


def require_same_record(folder: Path, found: str, verified: str | None) -> None:
    """Raise ModelFolderError unless the record that was read (SHA-256 `found`) is the `verified` one, where one is."""
    if verified is not None and found != verified:
        raise ModelFolderError(f"{record_of(folder)}: was exchanged after it was verified; load it anew, or {REPAIR}")


def signature_link(folder: Path, key: Path | None) -> Link:
    """The link of the chain that says whose the folder is; without `key` only whether its signature is one."""
    if key is None and not (folder / SIGNATURE).exists():
        return NO_SIGNATURE
    public = None if key is None else read_public_key(key)
    try:
        signed = Signed.read(folder)
    except InputError as failure:
        return Link(f"{SIGNATURE}: signed", (str(failure),))
    own = signed.signature.key_bytes
    name = f"{signed.record.name} is signed with the key {fingerprint_of(public or own)}"
    if public is None and not can_check():
        return Link(f"{name}: pip install 'autodls[sign]' to check it", checked=False)
    if fault := signed.fault(public or own):
        return Link(name, (fault,))
    return Link(name) if public else Link(f"{name}: whose key that is shows with --key PUBLIC.pem", checked=False)


def _require_candidate(folder: Path) -> None:
    record = LockedCandidate.load(folder / CANDIDATE, REPAIR, ModelFolderError)
    if record.card_sha256 is not None:
        require_unaltered(folder / CARD, record.card_sha256, REPAIR)
    if record.networks_sha256 is not None:
        inner = ModelFolder(folder / NETWORKS)
        require_unaltered(inner.record, record.networks_sha256, REPAIR)
        _require_files(check_model_folder(inner.root))


def _require_files(checked: CheckedFolder) -> None:
    for name, sha256 in hashes_of(checked).items():
        require_unaltered(checked.folder.root / name, sha256, REPAIR)
