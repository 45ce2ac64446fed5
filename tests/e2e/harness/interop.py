"""What each test has shown about a program of others; scripts/interop makes docs/INTEROP.md of it."""

import functools
import json
import pathlib
import re
import shutil
import subprocess
import sys

import peers

NOTES = pathlib.Path(__file__).resolve().parents[3] / "build" / "interop"

# Where the version of a peer stands, when it is not a Debian package of this name.
PACKAGES = {"Postfix": "postfix", "smtp-source": "postfix", "smtp-sink": "postfix", "Exim": "exim4-daemon-light",
            "Dovecot": "dovecot-lmtpd", "OpenSMTPD": "opensmtpd", "aiosmtpd": "python3-aiosmtpd"}
WAYS = ["in", "in TLS", "out", "out TLS", "out LMTP"]


@functools.cache
def version(peer):
    if peer.startswith("Python"):
        return sys.version.split()[0]
    if peer == "nodemailer":
        return json.loads((peers.PEERS / "npm/node_modules/nodemailer/package.json").read_text())["version"]
    package = PACKAGES.get(peer, peer)
    said = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True).stdout \
        if shutil.which("apt-cache") else ""
    found = re.search(r"Candidate: (?:\d+:)?([0-9A-Za-z.]+)", said)
    return found.group(1) if found else "?"


def note(test, peer, way, what):
    """The test has passed: `peer` works this way."""
    assert way in WAYS, way
    NOTES.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{peer} {way} {test}")
    (NOTES / f"{name}.json").write_text(json.dumps(
        {"peer": peer, "version": version(peer), "way": way, "what": what,
         "test": re.sub(r"\[.*", "", test)}))
