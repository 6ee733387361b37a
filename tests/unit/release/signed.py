"""Key pairs as `openssl` makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def key_pair(folder: Path, name: str = "key", algorithm: str = "ed25519") -> tuple[Path, Path]:
    """Files of a fresh private key and its public half."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    made = ["openssl", "genpkey", "-algorithm", algorithm, "-out", str(private)]
    half = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    for command in (made, half):
        subprocess.run(command, check=True, capture_output=True)
    private.chmod(0o600)
    return private, public
