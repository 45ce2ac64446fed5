"""The disk that forgets, itself: what it must lose is lost, what it must keep is kept."""

import errno
import os

import pytest


def write(path, data, sync=False, at=0, flags=os.O_CREAT):
    descriptor = os.open(path, os.O_RDWR | flags, 0o644)
    try:
        assert os.pwrite(descriptor, data, at) == len(data)
        if sync:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def names(path):
    return sorted(os.listdir(path))


def test_reads_back_what_was_written_before_any_sync(forgetting_disk):
    disk = forgetting_disk().disk
    write(disk / "a", b"x" * 10000)
    write(disk / "a", b"yz", at=4095)
    write(disk / "a", b"end", at=20000)
    expected = b"x" * 4095 + b"yz" + b"x" * (10000 - 4097) + b"\0" * 10000 + b"end"
    assert (disk / "a").read_bytes() == expected
    (disk / "b").mkdir()
    write(disk / "b" / "c", b"c")
    assert names(disk) == ["a", "b"] and names(disk / "b") == ["c"]
    os.truncate(disk / "a", 5)
    os.truncate(disk / "a", 8)
    assert (disk / "a").read_bytes() == b"xxxxx\0\0\0"


def test_nothing_is_durable_without_a_sync(forgetting_disk):
    fs = forgetting_disk()
    write(fs.disk / "a", b"bytes")
    (fs.disk / "b").mkdir()
    assert names(fs.backing) == []
    fs.cut()
    counts = fs.unmount()
    assert names(fs.backing) == []
    assert counts["cut"] and counts["sectors_lost"] == 1 and counts["changes_lost"] == 2


def test_a_synced_file_without_its_name_is_lost(forgetting_disk):
    fs = forgetting_disk()
    write(fs.disk / "a", b"bytes", sync=True)
    fs.cut()
    fs.unmount()
    assert names(fs.backing) == []


def test_a_name_without_its_bytes_is_an_empty_file(forgetting_disk):
    fs = forgetting_disk()
    write(fs.disk / "a", b"bytes")
    sync_folder(fs.disk)
    fs.cut()
    fs.unmount()
    assert (fs.backing / "a").read_bytes() == b""


def test_what_was_synced_with_its_name_is_kept(forgetting_disk):
    fs = forgetting_disk()
    write(fs.disk / "a", b"old" * 3000, sync=True)
    sync_folder(fs.disk)
    write(fs.disk / "a", b"new", at=4000)
    write(fs.disk / "a", b"more", at=9000)
    fs.cut()
    fs.unmount()
    assert (fs.backing / "a").read_bytes() == b"old" * 3000


def test_a_removal_and_a_rename_are_undone_without_a_sync(forgetting_disk):
    fs = forgetting_disk()
    for name in ("removed", "renamed", "replaced"):
        write(fs.disk / name, name.encode(), sync=True)
    sync_folder(fs.disk)
    os.unlink(fs.disk / "removed")
    os.rename(fs.disk / "renamed", fs.disk / "replaced")
    assert names(fs.disk) == ["replaced"]
    assert (fs.disk / "replaced").read_bytes() == b"renamed"
    fs.cut()
    fs.unmount()
    assert {name: (fs.backing / name).read_text() for name in names(fs.backing)} == {
        name: name for name in ("removed", "renamed", "replaced")}


def test_a_removal_and_a_rename_are_kept_after_a_sync(forgetting_disk):
    fs = forgetting_disk()
    for name in ("removed", "renamed", "replaced"):
        write(fs.disk / name, name.encode(), sync=True)
    sync_folder(fs.disk)
    os.unlink(fs.disk / "removed")
    os.rename(fs.disk / "renamed", fs.disk / "replaced")
    sync_folder(fs.disk)
    fs.cut()
    fs.unmount()
    assert names(fs.backing) == ["replaced"]
    assert (fs.backing / "replaced").read_text() == "renamed"


def test_a_folder_keeps_only_its_own_names(forgetting_disk):
    fs = forgetting_disk()
    (fs.disk / "inner").mkdir()
    write(fs.disk / "inner" / "a", b"a", sync=True)
    write(fs.disk / "b", b"b", sync=True)
    sync_folder(fs.disk / "inner")
    assert names(fs.backing) == []
    sync_folder(fs.disk)
    write(fs.disk / "inner" / "late", b"late", sync=True)
    fs.cut()
    fs.unmount()
    assert names(fs.backing) == ["b", "inner"]
    assert names(fs.backing / "inner") == ["a"]


def test_a_truncation_is_undone_without_a_sync(forgetting_disk):
    fs = forgetting_disk()
    write(fs.disk / "a", b"x" * 6000, sync=True)
    sync_folder(fs.disk)
    os.truncate(fs.disk / "a", 10)
    assert (fs.disk / "a").read_bytes() == b"x" * 10
    fs.cut()
    fs.unmount()
    assert (fs.backing / "a").read_bytes() == b"x" * 6000


def test_an_unlinked_open_file_is_still_there(forgetting_disk):
    disk = forgetting_disk().disk
    with open(disk / "a", "w+b", buffering=0) as file:
        file.write(b"still")
        os.unlink(disk / "a")
        assert names(disk) == []
        assert os.pread(file.fileno(), 10, 0) == b"still"


def test_after_a_cut_every_operation_fails(forgetting_disk):
    fs = forgetting_disk()
    descriptor = os.open(fs.disk / "a", os.O_RDWR | os.O_CREAT)
    fs.cut()
    for operation in (lambda: os.write(descriptor, b"x"), lambda: os.fsync(descriptor),
                      lambda: os.open(fs.disk / "b", os.O_RDWR | os.O_CREAT),
                      lambda: os.unlink(fs.disk / "a"), lambda: os.listdir(fs.disk)):
        with pytest.raises(OSError) as caught:
            operation()
        assert caught.value.errno == errno.EIO
    os.close(descriptor)


def test_a_cut_can_be_ordered_at_any_operation(forgetting_disk):
    """Create, write, sync, sync of the folder: the name is there only after the fourth."""
    def run(cut_after):
        fs = forgetting_disk("--cut-after", str(cut_after))
        try:
            write(fs.disk / "a", b"bytes", sync=True)
            sync_folder(fs.disk)
        except OSError as fault:
            assert fault.errno == errno.EIO
        fs.unmount()
        return names(fs.backing)
    assert [run(number) for number in (1, 2, 3, 4, 5)] == [[], [], [], [], ["a"]]


def torn(forgetting_disk, seed):
    """A file of old sectors, overwritten without a sync: what a cut leaves of both."""
    fs = forgetting_disk("--tear", str(seed))
    write(fs.disk / "a", b"o" * 512 * 64, sync=True)
    sync_folder(fs.disk)
    write(fs.disk / "a", b"n" * 512 * 64)
    for number in range(8):
        write(fs.disk / f"later{number}", b"")
    fs.cut()
    counts = fs.unmount()
    data = (fs.backing / "a").read_bytes()
    later = [name for name in names(fs.backing) if name != "a"]
    return data, later, counts


def test_a_tearing_disk_keeps_whole_sectors_and_first_changes(forgetting_disk):
    seen = set()
    for seed in range(12):
        data, later, counts = torn(forgetting_disk, seed)
        sectors = [data[at : at + 512] for at in range(0, len(data), 512)]
        assert len(sectors) == 64
        assert set(sectors) <= {b"o" * 512, b"n" * 512}
        assert counts["sectors_survived"] == sectors.count(b"n" * 512)
        assert counts["sectors_lost"] == sectors.count(b"o" * 512)
        assert later == [f"later{number}" for number in range(len(later))]
        seen.add((counts["sectors_survived"], len(later)))
    assert any(0 < survived < 64 for survived, _ in seen), seen
    assert any(0 < changes < 8 for _, changes in seen), seen


def test_the_same_seed_tears_in_the_same_way(forgetting_disk):
    assert torn(forgetting_disk, 5)[0] == torn(forgetting_disk, 5)[0]


def test_the_backing_folder_is_the_next_disk(forgetting_disk, folder):
    from harness.forgetfs import ForgetFs
    fs = forgetting_disk()
    write(fs.disk / "a", b"kept", sync=True)
    sync_folder(fs.disk)
    write(fs.disk / "b", b"lost", sync=True)
    fs.cut()
    fs.unmount()
    again = ForgetFs(fs.backing.parent).mount()
    try:
        assert names(again.disk) == ["a"]
        write(again.disk / "a", b"K")
        assert (again.disk / "a").read_bytes() == b"Kept"
    finally:
        again.unmount()
    assert (fs.backing / "a").read_bytes() == b"kept"
