"""signature.json: whose a locked model is, beside the record that holds the hashes of all its files."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from autodls.records.base import Record
from autodls.records.files import sha256_of_bytes

ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an ed25519 public key in a PEM file (RFC 8410, SubjectPublicKeyInfo)."""
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def _base64_of(check: Callable[[bytes], bool], what: str) -> AfterValidator:
    def checked(text: str) -> str:
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if not check(content) or base64.b64encode(content).decode() != text:
            raise ValueError(f"not {what} in base64")
        return text

    return AfterValidator(checked)


def _is_key(content: bytes) -> bool:
    return content.startswith(ED25519_SPKI) and len(content) == len(ED25519_SPKI) + _KEY_BYTES


class Signature(Record):
    """An ed25519 signature (RFC 8032) of the bytes of a model's record, with the key that it can be checked by.

    It holds no date and no name, so that signing again gives the same bytes. The key in it is for whoever asks whose
    signature it is; what is trusted is the key that a person gives.
    """

    format: Literal["autodls-signature/1"] = "autodls-signature/1"
    algorithm: Literal["ed25519"] = Field(default="ed25519", description="RFC 8032")
    signed: Literal["model.json", "candidate.json"] = Field(description="the file whose bytes are signed")
    signed_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of that file when it was signed")
    public_key: Annotated[str, _base64_of(_is_key, "an ed25519 public key")] = Field(
        description="as between the first and the last line of its PEM file"
    )
    signature: Annotated[str, _base64_of(lambda content: len(content) == _SIGNATURE_BYTES, "64 bytes")] = Field(
        description="its 64 bytes in base64; openssl verifies them against the file that is signed"
    )

    @classmethod
    def of(cls, signed: Path, content: bytes, public_key: bytes, signature: bytes) -> "Signature":
        """Of the file `signed` with these bytes; `public_key` are the 32 bytes of the key."""
        return cls.model_validate(
            {
                "signed": signed.name,
                "signed_sha256": sha256_of_bytes(content),
                "public_key": base64.b64encode(ED25519_SPKI + public_key).decode(),
                "signature": base64.b64encode(signature).decode(),
            }
        )

    @property
    def key_bytes(self) -> bytes:
        """The 32 bytes of the public key."""
        return base64.b64decode(self.public_key)[len(ED25519_SPKI) :]

    @property
    def signature_bytes(self) -> bytes:
        """The 64 bytes of the signature."""
        return base64.b64decode(self.signature)


def fingerprint_of(public_key: bytes) -> str:
    """The first 16 digits of the SHA-256 of a public key as DER, of the 32 bytes of the key.

    The same as `openssl pkey -pubin -in PUBLIC.pem -outform DER | sha256sum` begins with.

    >>> fingerprint_of(bytes(32))
    '722abd12e99a5367'
    """
    return sha256_of_bytes(ED25519_SPKI + public_key)[:16]
