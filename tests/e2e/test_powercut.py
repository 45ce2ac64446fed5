"""Power cuts of the real program on a disk that forgets what was not synced."""

import os
import random
import time

import pytest

from conftest import FULL
from harness.forgetfs import ForgetFs
from harness.traffic import settle

CUTS = 40 if FULL else 6
LOAD = ["--sessions", "20", "--messages", "10000000", "--persist", "--rate", "1500", "--size", "3000"]


def run_cuts(cuts, disk_options, next_load, folder, start_postrider, sink, generator_for):
    """Cuts the power again and again; the spool of each life is what the last cut left."""
    server = generator = None
    home = folder / "powercut"
    counted = []
    for number in range(cuts):
        disk = ForgetFs(home, *disk_options(number)).mount()
        try:
            if server is None:
                server = start_postrider(next_hop=sink.address, spool=disk.disk / "spool")
                generator = generator_for(server)
            else:
                server.start()
            next_load(generator)
            disk.cut()
        finally:
            if server is not None and server.program is not None:
                server.kill()
            counted.append(disk.unmount())
    # The last life, on the plain disk: everything has to come out.
    disk = ForgetFs(home).mount()
    try:
        server.start()
        generator.stop()
        ledger = settle(generator, sink, server=server)
    finally:
        server.kill()
        disk.unmount()
    return ledger, counted, server


@pytest.mark.parametrize("tear", [False, True], ids=["forgets", "tears"])
def test_power_cuts_under_load(forgetting_disk, folder, start_postrider, start_sink, start_generator,
                               figure, tear):
    del forgetting_disk  # only asks whether this machine can
    draw = random.Random(f"{tear} {os.environ.get('POSTRIDER_SEED', '1')}")
    sink = start_sink()
    def next_load(generator):
        before = sum(generator.acknowledged().values())
        generator.wait_acknowledged(before + 1)
        time.sleep(draw.random())
    ledger, counted, server = run_cuts(
        CUTS, lambda number: ["--tear", str(number)] if tear else [], next_load, folder,
        start_postrider, sink, lambda server: start_generator(server.port, *LOAD))
    figure(f"{CUTS} cuts: {ledger}, {server.repeats_foretold()} foretold; lost {sum(count['sectors_lost'] for count in counted)} sectors")
    ledger.check(server, forgets=True)
    assert all(count["cut"] for count in counted)
    assert len(ledger.acknowledged) > CUTS


def test_a_cut_at_each_of_the_first_operations(forgetting_disk, folder, start_postrider, start_sink):
    """The first life of a spool: wherever the power goes, the next start works and keeps."""
    del forgetting_disk
    sink = start_sink()
    from harness.process import Trouble
    step = 1 if FULL else 7
    for cut_after in range(1, 60, step):
        home = folder / f"first{cut_after}"
        disk = ForgetFs(home, "--cut-after", str(cut_after)).mount()
        server = None
        try:
            server = start_postrider(next_hop=sink.address, spool=disk.disk / "spool", timeout_s=3)
        except (Trouble, OSError):
            pass  # it may refuse to start on a disk that fails
        finally:
            if server is not None:
                server.kill()
            disk.unmount()
        again = ForgetFs(home).mount()
        try:
            server = start_postrider(next_hop=sink.address, spool=again.disk / "spool")
            server.send(b"Subject: after the cut\r\n\r\nbody\r\n")
            server.kill()
        finally:
            again.unmount()
