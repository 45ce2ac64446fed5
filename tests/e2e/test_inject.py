"""System calls that fail (strace -e inject): every 250 is kept, and the program comes back."""

import shutil
import subprocess
import time

import pytest

from harness.process import Program, Trouble
from harness.traffic import settle

LOAD = ["--sessions", "10", "--messages", "10000000", "--persist", "--rate", "200"]
# What makes the calls that fail: small messages over kept connections, unless it says otherwise.
SMALL = ["--size", "3000"]
LOAD_OF = {
    "accept": ["--size", "3000", "--messages-per-connection", "2"],
    "mmap": ["--size", "200000", "--messages-per-connection", "2"],
    "openat": ["--size", "300000", "--rate", "30"], # content in files of its own
    "reads": ["--size", "300000", "--rate", "30"],
}

FAULTS = {
    "disk-writes-EIO": ("pwrite64,pwritev,pwritev2", "error=EIO:when=10+17"),
    "disk-writes-ENOSPC": ("pwrite64,pwritev,pwritev2", "error=ENOSPC:when=5+3"),
    "writes-EIO": ("write,writev", "error=EIO:when=20+101"),
    "writes-short-of-memory": ("write,writev,sendmsg,sendto", "error=ENOBUFS:when=20+53"),
    "fdatasync-EIO-once": ("fdatasync,fsync", "error=EIO:when=7"),
    "fdatasync-EIO-often": ("fdatasync,fsync", "error=EIO:when=5+11"),
    "fdatasync-EIO-always": ("fdatasync,fsync", "error=EIO:when=5+"),
    "openat-EMFILE": ("openat", "error=EMFILE:when=1+2"),
    "openat-EIO": ("openat", "error=EIO:when=1+"),
    "mmap-ENOMEM": ("mmap,brk,mremap", "error=ENOMEM:when=1+2"),
    "accept-EMFILE": ("accept,accept4", "error=EMFILE:when=1+2"),
    "accept-ECONNABORTED": ("accept,accept4", "error=ECONNABORTED:when=1+2"),
    "reads-EIO": ("pread64,preadv,preadv2", "error=EIO:when=1+3"),
    "connect-refused": ("connect", "error=ECONNREFUSED:when=1+2"),
    "sockets-EMFILE": ("socket", "error=EMFILE:when=1+2"),
}


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is not installed or may not trace here")
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_failing_system_calls(start_postrider, start_sink, start_generator, folder, figure, fault):
    calls, how = FAULTS[fault]
    sink = start_sink()
    server = start_postrider(next_hop=sink.address, extra="queue { fresh-memory 0 }\n")
    load = LOAD_OF.get(fault.partition("-")[0], SMALL)
    generator = start_generator(server.port, *LOAD, *load)
    generator.wait_acknowledged(20)
    strace = Program(folder, "strace", ["strace", "-f", "-qq", "-o", folder / "trace",
                                        "-p", str(server.engine()), "-e", f"trace={calls}",
                                        "-e", f"inject={calls}:{how}"])
    strace.start()
    time.sleep(2.5)
    strace.stop()
    injected = (folder / "trace").read_text().count("(INJECTED)") if (folder / "trace").exists() else 0
    # It is up, or the supervisor has started it again, or it refuses and an operator restarts it.
    try:
        server.wait_answering(5)
        before = sum(generator.acknowledged().values())
        generator.wait_acknowledged(before + 5, 15)
        again = False
    except Trouble:
        again = True
        server.kill()
        server.start()
    generator.stop()
    ledger = settle(generator, sink, server=server)
    figure(f"{fault}: {injected} calls failed, {'restarted by hand' if again else 'stayed up'}; {ledger}")
    ledger.check(server)
    assert injected > 0, "nothing failed: the test shows nothing"
    assert not again, "it neither stayed up nor came back by itself"
