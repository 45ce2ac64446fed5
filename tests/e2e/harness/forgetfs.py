"""A disk whose power can be cut: the file system of tests/powercut over a folder."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

from .process import BUILD, Program

BINARY = BUILD / "forgetfs"


def why_not():
    """Why power cuts cannot be tested here, or None."""
    if not BINARY.exists():
        return "forgetfs is not built (libfuse3-dev)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be used here"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed (fuse3)"
    return None


class ForgetFs:
    """`disk` is where programs work; `backing` is what a cut leaves."""

    def __init__(self, folder, *options):
        folder = pathlib.Path(folder)
        self.backing, self.disk = folder / "backing", folder / "disk"
        self.backing.mkdir(parents=True, exist_ok=True)
        self.disk.mkdir(exist_ok=True)
        self.program = Program(folder, "forgetfs", [BINARY, *options, self.backing, self.disk])

    def mount(self):
        self.program.start()
        self.program.wait_for(lambda: os.path.ismount(self.disk), 10, "forgetfs is mounted")
        return self

    def cut(self):
        """The power goes. Returns when nothing can reach the disk any more."""
        self.program.process.send_signal(signal.SIGUSR1)
        self.program.wait_for(self.is_dark, 10, "the power is cut")

    def is_dark(self):
        try:
            os.listdir(self.disk)
            return False
        except OSError:
            return True

    def unmount(self):
        """Returns what the file system counted."""
        if self.program.alive():
            subprocess.run(["fusermount3", "-u", "-z", str(self.disk)], capture_output=True)
            try:
                self.program.process.wait(2)
            except subprocess.TimeoutExpired: # somebody still has a file open
                self.program.stop()
        lines = [line for line in self.program.said().splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else None
