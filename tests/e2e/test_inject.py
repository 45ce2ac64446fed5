"""System calls that fail (strace -e inject): every 250 is kept, and the program comes back."""

import pathlib
import shutil
import subprocess
import time

import pytest

from harness.process import Program, Trouble, wait_until
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


# While the engine starts with mail in the spool: calls of each of its threads that fail.
FAULTS_AT_START = ["openat:error=EIO:when=2+3", "openat:error=EMFILE:when=5+2", "pread64:error=EIO:when=1+3",
                   "fdatasync:error=EIO:when=1+2", "pread64:error=EIO:when=9+5",
                   "pwrite64,pwritev:error=EIO:when=2+3", "pwrite64,pwritev:error=ENOSPC:when=1+2",
                   "mmap:error=ENOMEM:when=3+2", "clone3:error=EAGAIN:when=4+2", "epoll_ctl:error=ENOMEM:when=5+3",
                   "getdents64:error=EIO:when=1+2", "unlink,unlinkat:error=EIO:when=1+2"]


@pytest.mark.skipif(not can_trace(), reason="strace is not installed or may not trace here")
def test_starts_that_fail_lose_nothing(start_postrider, start_sink, start_generator, folder, figure):
    """The supervisor starts the engine until it can start; the mail stays."""
    sink = start_sink()
    sink.stop()
    server = start_postrider(next_hop=sink.address, extra="queue { fresh-memory 0 }\n")
    for name, size in (("small", "3000"), ("large", "300000")):
        start_generator(server.port, "--messages", "30", "--sessions", "3", "--size", size,
                        name=name).finish()
    for number, fault in enumerate(FAULTS_AT_START):
        trace = folder / f"trace{number}"
        strace = Program(folder, f"strace{number}", [
            "strace", "-f", "-qq", "-o", trace, "-p", str(server.supervisor()),
            "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}"]).start()
        wait_until(lambda: "TracerPid:\t0" not in
                   pathlib.Path(f"/proc/{server.supervisor()}/status").read_text(), 5, "strace is there", 0.01)
        server.kill_engine()
        time.sleep(1)
        strace.stop()
        assert "(INJECTED)" in trace.read_text(), fault
        wait_until(lambda: server.command("status", check=False).returncode == 0, 20,
                   lambda: f"an engine runs after {fault}")
        time.sleep(0.3)  # its first beat ends the back-off
    sink.start()
    def all_came():
        server.retry_all()
        return len(sink.received()) >= 60
    wait_until(all_came, 60, lambda: f"60 messages at the sink, there are {len(sink.received())}", 1)
    server.wait_drained()
    figure(f"{len(FAULTS_AT_START)} starts with failing calls, {server.log().count('child-died') - len(FAULTS_AT_START)} "
           f"engines more than were killed: all 60 messages came")
    assert "check failed" not in server.log()
