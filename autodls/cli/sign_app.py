"""`sign` and its options."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from autodls.cli.console import Terminal, say


def sign(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a locked model, or of a candidate.")],
    key: Annotated[Path, typer.Option("--key", metavar="PRIVATE", help="PEM file of a private ed25519 key.")],
) -> None:
    """Sign a locked model, to show whose it is.

    The signature, MODEL/signature.json, is of the record that holds the hashes of all other files. Who has your public
    key checks it: autodls verify MODEL --key PUBLIC.pem, or predict --key. An encrypted key asks for its passphrase, or
    takes it from AUTODLS_KEY_PASSPHRASE. Needs the extra autodls[sign].
    """
    from autodls.stages.sign import sign as write

    ask = (lambda: getpass(f"passphrase of {key}: ")) if sys.stdin.isatty() else None
    done = write(model, key=key, ask=ask, watch=Terminal())
    say(f"signed: {done.path}, {done.signature.signed} and the files that it names")
    say(f"key: SHA-256 {done.fingerprint} of its public part; give that part to whoever uses the model")
