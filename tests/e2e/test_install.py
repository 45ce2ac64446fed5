"""`make install` gives a service: exactly these files, and each is what its reader expects."""

import json
import os
import re
import shutil
import subprocess

import pytest

from harness.process import BUILD, TOP
from harness.server import BINARY

FILES = {
    "prefix": ["sbin/postrider", "sbin/postrider-drop", "sbin/sendmail", "sbin/mailq", "sbin/newaliases",
               "lib/systemd/system/postrider.service", "lib/sysusers.d/postrider.conf",
               "lib/tmpfiles.d/postrider.conf", "share/doc/postrider/postrider.conf.sample",
               "share/bash-completion/completions/postrider",
               *(f"share/man/man{page.stem[-1]}/{page.stem}" for page in (TOP / "man").glob("*.in"))],
    "sysconfdir": ["logrotate.d/postrider", "postrider/postrider.conf"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A DESTDIR with an installation, and where prefix and sysconfdir are in it."""
    if not (BUILD / "postrider.service").exists() or not shutil.which("meson"):
        pytest.skip(f"{BUILD} is no build of a release")
    destination = tmp_path_factory.mktemp("destination")
    install(destination)
    listed = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", BUILD], check=True,
                                       capture_output=True, text=True).stdout)
    options = {option["name"]: option["value"] for option in listed}
    prefix = destination / options["prefix"].lstrip("/")
    inner = options["sysconfdir"]
    return destination, prefix, destination / inner.lstrip("/") if inner.startswith("/") else prefix / inner


def install(destination):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"], check=True, capture_output=True,
                   env={**os.environ, "DESTDIR": str(destination)})


def test_exactly_these_files(place):
    destination, prefix, configuration = place
    wanted = {prefix / name for name in FILES["prefix"]} | {configuration / name for name in FILES["sysconfdir"]}
    assert {path for path in destination.rglob("*") if path.is_file()} == wanted
    # A configuration that is there stays.
    config = configuration / "postrider/postrider.conf"
    config.write_text("hostname mine.test\n")
    install(destination)
    assert config.read_text() == "hostname mine.test\n"


def test_the_sample_holds_every_option_and_can_be_read(place):
    _, prefix, _ = place
    sample = prefix / "share/doc/postrider/postrider.conf.sample"
    subprocess.run([BINARY, "config", "check", "--config", sample], check=True, capture_output=True)
    text = sample.read_text()
    assert max(map(len, text.splitlines())) <= 100
    manual = subprocess.run([BINARY, "config", "manual"], check=True, capture_output=True, text=True).stdout
    for option, value in re.findall(r"^\*\*(\S+)\*\*: .*?(?:default `(.*?)`)?(?:; required)?\.  $", manual, re.MULTILINE):
        if option.isupper(): # the word behind the name of a block
            continue
        if value and option not in ("user", "hostname"):
            assert re.search(rf"^[# ]*{re.escape(option)} {re.escape(value)}$", text, re.MULTILINE), (option, value)
        else:
            assert re.search(rf"^[# ]*{re.escape(option)}[: ]", text, re.MULTILINE), option
    # What it writes out are the defaults.
    shown = subprocess.run([BINARY, "config", "show", "--config", sample], check=True, capture_output=True, text=True)
    assert shown.stdout.split() == ("hostname mx1.example.org listen smtp { bind 0.0.0.0:25 bind [::]:25 } "
                                    "relay { from 127.0.0.0/8 from ::1/128 }").split()


def test_the_unit_can_be_started(place, figure, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    _, prefix, _ = place
    unit = prefix / "lib/systemd/system/postrider.service"
    text = unit.read_text()
    assert "@" not in re.sub(r"@system-service|@[a-z-]+\.", "", text), "nothing is left to be filled in"
    # verify wants the program to be there, and other units only where there are some.
    tried = tmp_path / "postrider.service"
    tried.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={BINARY}", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tried], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "postrider.service" in line]
    assert done.returncode == 0 or not ours, done.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", tried], capture_output=True, text=True)
    score = re.search(r"exposure level for \S+ ([\d.]+)", judged.stdout)
    figure(f"systemd-analyze security: {score[1]} of 10 (less is better)")
    assert float(score[1]) <= 3.5


def test_the_pages_are_pages(place):
    _, prefix, _ = place
    for page in ("man8/postrider.8", "man5/postrider.conf.5"):
        text = (prefix / "share/man" / page).read_text()
        assert text.startswith(".TH") and not re.search("@[A-Z]+@", text), page
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", prefix / "share/man" / page],
                                  capture_output=True, text=True)
            assert done.returncode == 0 and not done.stderr, done.stderr
    assert "reload" in (prefix / "share/man/man8/postrider.8").read_text()


def test_logrotate_reads_its_file(place, tmp_path):
    logrotate = shutil.which("logrotate")
    if not logrotate:
        pytest.skip("logrotate is not installed")
    _, _, configuration = place
    subprocess.run([logrotate, "--debug", "--state", tmp_path / "state", configuration / "logrotate.d/postrider"],
                   check=True, capture_output=True)


def test_users_and_folders(place, tmp_path):
    _, prefix, _ = place
    if shutil.which("systemd-sysusers"):
        (tmp_path / "etc").mkdir()
        subprocess.run(["systemd-sysusers", f"--root={tmp_path}", prefix / "lib/sysusers.d/postrider.conf"],
                       check=True, capture_output=True)
        assert "postrider:" in (tmp_path / "etc/passwd").read_text()
        if shutil.which("systemd-tmpfiles") and os.getuid() == 0:
            subprocess.run(["systemd-tmpfiles", "--create", f"--root={tmp_path}",
                            prefix / "lib/tmpfiles.d/postrider.conf"], check=True, capture_output=True)
            assert (tmp_path / "var/spool/postrider").stat().st_mode & 0o777 == 0o700
            assert (tmp_path / "var/spool/postrider-drop").stat().st_mode & 0o777 == 0o730
    assert (TOP / "packaging/sysusers.conf").exists()
