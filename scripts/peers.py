#!/usr/bin/python3
"""Mail and name servers of Debian that tests and benchmarks run beside postrider.

They are downloaded and unpacked into build/peers/<package>, never installed: no maintainer script
runs, so that no service starts on this machine and no user or configuration is made.

  scripts/peers.py postfix exim4-daemon-light nsd     unpacks and prints the folders
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PEERS = TOP / "build" / "peers"


class Unavailable(Exception):
    """A peer cannot be had here: says why in one sentence."""


def apt(*arguments, cwd=None):
    done = subprocess.run(["apt-get", "-q", *arguments], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
    if done.returncode != 0:
        raise Unavailable(f"apt-get {' '.join(arguments)}: {done.stderr.strip()[-400:]}")
    return done.stdout


def needed(package):
    """The package and what it depends on that this machine lacks."""
    plan = apt("-s", "install", "--no-install-recommends", package)
    return sorted({package} | {line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")})


def unpack(package, folder):
    downloads = folder / "deb"
    downloads.mkdir(parents=True, exist_ok=True)
    # No sandbox user: it could not write to a folder of ours.
    apt("-o", "APT::Sandbox::User=root", "download", *needed(package), cwd=downloads)
    for archive in sorted(downloads.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, folder / "root"], check=True)
    shutil.rmtree(downloads)


def extract(package):
    """The folder that holds the unpacked package; the first call downloads it."""
    if shutil.which("apt-get") is None:
        raise Unavailable("peers come from Debian's archive, and this machine has no apt-get")
    folder = PEERS / package
    PEERS.mkdir(parents=True, exist_ok=True)
    with open(PEERS / f"{package}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                unpack(package, folder)
            except Unavailable:
                if os.geteuid() != 0:
                    raise
                apt("update")
                shutil.rmtree(folder, ignore_errors=True)
                unpack(package, folder)
            (folder / "complete").touch()
    return folder / "root"


def npm(package):
    """The folder with node_modules in which the package is; its scripts never run."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Unavailable(f"{package} comes by npm, and this machine has no node and npm")
    folder = PEERS / "npm"
    PEERS.mkdir(parents=True, exist_ok=True)
    with open(PEERS / "npm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules" / package).exists():
            done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                                   "--prefix", folder, package], capture_output=True, text=True)
            if done.returncode != 0:
                raise Unavailable(f"npm install {package}: {done.stderr.strip()[-400:]}")
    return folder


def environment(root):
    """What a program of an unpacked package needs to find its libraries."""
    library = [root / "usr/lib/postfix", root / "usr/lib/x86_64-linux-gnu", root / "usr/lib",
               root / "lib/x86_64-linux-gnu"]
    library += sorted((root / "usr/lib").glob("*-linux-gnu"))
    present = list(dict.fromkeys(str(path) for path in library if path.is_dir()))
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(present)}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            print(extract(name))
        except Unavailable as reason:
            sys.exit(f"peers: {reason}")
