"""Fixtures: each test gets a folder, and whatever it starts is ended with it."""

import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

from harness import forgetfs, interop as notes, server, traffic  # noqa: E402

FULL = os.environ.get("POSTRIDER_FULL") == "1"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """So that a fixture can tell at its end how the test went."""
    report = (yield).get_result()
    if report.failed:
        item.has_failed = True


@pytest.fixture
def folder(request, tmp_path):
    # Short: the path of a control socket has room for 107 bytes.
    yield tmp_path
    # A spool has a hundred megabytes: it is kept for those who look for a reason.
    if not getattr(request.node, "has_failed", False):
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def figure():
    """figure("text"): a line that scripts/test prints, whether the test passes or not."""
    return lambda text: print(f"figure: {text}")


@pytest.fixture
def interop(request):
    """interop("swaks", "in TLS", "what"): a row of docs/INTEROP.md, when the test passes."""
    shown = []
    yield lambda peer, way, what="": shown.append((peer, way, what))
    if not getattr(request.node, "has_failed", False):
        for row in shown:
            notes.note(f"{request.node.path.stem}.{request.node.name}", *row)


@pytest.fixture
def ends():
    """Things with stop(), ended in the opposite order."""
    started = []
    yield started
    for thing in reversed(started):
        thing.stop()


@pytest.fixture
def start_postrider(folder, ends):
    """start_postrider(next_hop=...) makes and starts a server."""
    def start(timeout_s=15, **options):
        made = server.Postrider(folder, **options)
        ends.append(made)
        return made.start(timeout_s)
    return start


@pytest.fixture
def start_sink(folder, ends):
    def start(*options, **named):
        sink = traffic.Sink(folder, *options, **named)
        ends.append(sink)
        return sink.start()
    return start


@pytest.fixture
def start_generator(folder, ends):
    def start(port, *options, **named):
        generator = traffic.Generator(folder, port, *options, **named)
        ends.append(generator)
        return generator.start()
    return start


@pytest.fixture
def forgetting_disk(folder, ends):
    why_not = forgetfs.why_not()
    if why_not:
        pytest.skip(why_not)
    made = []
    def mount(*options):
        disk = forgetfs.ForgetFs(folder / f"powercut{len(made)}", *options)
        made.append(disk)
        return disk.mount()
    yield mount
    for disk in made:
        disk.unmount()


def pytest_collection_modifyitems(items):
    """While the program is not built, what needs it says so."""
    for item in items:
        needs = set(item.fixturenames)
        if "start_postrider" in needs and not server.BINARY.exists():
            item.add_marker(pytest.mark.skip(reason=f"{server.BINARY} does not exist yet"))
        if needs & {"start_sink", "start_generator"} and not traffic.SINK.exists():
            item.add_marker(pytest.mark.skip(reason=f"{traffic.SINK} does not exist yet"))


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only at full length (make test-all)")


def pytest_runtest_setup(item):
    if item.get_closest_marker("full") and not FULL:
        pytest.skip("only in make test-all")
