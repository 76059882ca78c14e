"""The one door to `cryptography`: ed25519 keys (RFC 8032) in ordinary PEM files, as openssl writes them."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autodls.errors import ArgumentError
from autodls.records.files import read_bounded

_MOST_KEY_BYTES = 1 << 16  # a key of ed25519 takes 119
_MAKE = "make one with openssl genpkey -algorithm ed25519"
_PUBLISH = "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem"


def can_check() -> bool:
    """Whether the package of the extra is installed."""
    return find_spec("cryptography") is not None


def require_cryptography() -> None:
    """Raise ArgumentError where the package of the extra is not installed."""
    if not can_check():
        raise ArgumentError(
            "signatures need the Python package cryptography, which is not installed; pip install 'autodls[sign]'"
        )


class PrivateKey:
    """A key that signs."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature, always the same of one message."""
        return bytes(self._key.sign(message))

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return bytes(self._key.public_key().public_bytes_raw())


def read_private_key(path: Path, passphrase: Callable[[], str]) -> PrivateKey:
    """The private key in PEM file `path`; `passphrase` is asked for where it is encrypted.

    Raises ArgumentError for a file that cannot be read, is no PEM file, of another kind of key, or the public one, and
    for a wrong passphrase.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _pem(path)
    if b"PRIVATE KEY-----" not in content:
        raise ArgumentError(f"--key {path}: holds no private key, which signing needs; {_MAKE}")
    try:
        key = load_pem_private_key(content, None)
    except TypeError:  # it is encrypted
        key = _decrypted(path, content, passphrase())
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise _unreadable(path, failure) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ArgumentError(f"--key {path}: {_kind(key)}, expected a private key of ed25519; {_MAKE}")
    return PrivateKey(key)


def _decrypted(path: Path, content: bytes, passphrase: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(content, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ArgumentError(f"--key {path}: cannot be opened with this passphrase; give the right one") from None


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of the public key in PEM file `path`; raises ArgumentError as `read_private_key`."""
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _pem(path)
    if b"PRIVATE KEY-----" in content:
        raise ArgumentError(f"--key {path}: a private key, which stays with its owner; give the public one: {_PUBLISH}")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise _unreadable(path, failure) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ArgumentError(f"--key {path}: {_kind(key)}, expected a public key of ed25519; {_PUBLISH}")
    return bytes(key.public_bytes_raw())


def is_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the 64 bytes are this key's signature of the message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _pem(path: Path) -> bytes:
    try:
        content = read_bounded(path, _MOST_KEY_BYTES)
    except FileNotFoundError:
        raise ArgumentError(f"--key {path}: no such file; give the PEM file of a key") from None
    except OSError as failure:
        why = f"larger than {_MOST_KEY_BYTES >> 10} KiB" if path.is_file() else failure.strerror
        raise ArgumentError(f"--key {path}: cannot be read as a key ({why}); give its PEM file") from None
    if b"-----BEGIN " not in content:
        raise ArgumentError(f"--key {path}: not a PEM file (no line '-----BEGIN ...'); {_MAKE}")
    if content.count(b"-----BEGIN ") > 1:  # of these the first alone would be used
        raise ArgumentError(f"--key {path}: holds several keys or certificates; give a PEM file of one key")
    return content


def _kind(key: object) -> str:
    return f"a key of another kind ({type(key).__name__})"


def _unreadable(path: Path, failure: Exception) -> ArgumentError:
    return ArgumentError(f"--key {path}: not a key in PEM ({type(failure).__name__}); {_MAKE}")
