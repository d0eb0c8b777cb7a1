"""What renewing a credential does to the gaps between tokens: a token that lasts, or ends every two seconds.

    python scripts/bench/renewal.py

A service account signs for each Google token (extra `gcp`), at a token server on this machine, beside eight
streams of a token every 10 ms; off, on, on, off, ….
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, vendor
from tests.integration.token_server import TokenServer

ROUNDS, USERS, DURATION = 4, 8, "10s"


def account(folder: Path, token_url: str) -> Path:
    """A service account's file."""
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    about = {
        "type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": pem.decode(),
        "client_email": "load@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_url,
    }  # fmt: skip
    path = folder / "account.json"
    path.write_text(json.dumps(about), encoding="utf-8")
    return path


def gaps(lasts_s: float) -> tuple[dict[str, float], int]:
    """ITL of one run, ms, and how many tokens were given out during it."""
    with (
        tempfile.TemporaryDirectory() as place,
        TokenServer(lasts_s) as tokens,
        VendorServer(vendor("gemini"), words=100) as server,
    ):
        folder = Path(place)
        (folder / "loadlab.toml").write_text(
            f'[targets.t]\nurl = "{server.url}"\nmodel = "{MODEL}"\ndialect = "gemini"\nauth = "google"\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "loadlab", "run", "chat", "--target", "t", "--users", str(USERS),
             "--duration", DURATION, "--db", "sqlite:///x.db", "--json"],
            cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "GOOGLE_APPLICATION_CREDENTIALS": str(account(folder, f"{tokens.url}/token"))},
        )  # fmt: skip
        level = json.loads(done.stdout)["levels"][0]
        assert not level["requests"]["failed"], level
        return level["metrics"]["itl_ms"], len(tokens.given)


def main() -> None:
    """Prints a row per run."""
    for number in range(ROUNDS):
        for lasts_s in (3600.0, 2.0) if number % 2 == 0 else (2.0, 3600.0):
            itl, given = gaps(lasts_s)
            print(
                f"token lasts {lasts_s:6.0f} s, {given:2} given   "
                f"ITL p50 {itl['p50']:.2f}  p99 {itl['p99']:.2f}  max {itl['max']:.2f} ms  n {itl['n']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
