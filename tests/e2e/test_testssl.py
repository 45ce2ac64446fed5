"""testssl.sh finds nothing of medium severity or worse, by STARTTLS and under TLS from the first byte."""

import json
import os
import subprocess

import peers
import pytest

from harness.process import free_port, make_certificate

# Of the certificate alone, which the test has made for itself.
OF_THE_CERTIFICATE = {"cert_trust", "cert_chain_of_trust", "cert_revocation", "cert_expirationStatus"}
HARMLESS = {"OK", "INFO", "LOW", "WARN", "DEBUG"} # WARN: what testssl.sh itself could not do


@pytest.fixture
def server(folder, start_postrider):
    certificate = make_certificate(folder)
    port = free_port()
    made = start_postrider(extra=f"tls {{ certificate {certificate}/certificate.pem  key {certificate}/key.pem }}\n"
                                 f"listen submissions {{ bind 127.0.0.1:{port} }}\n")
    made.implicit_port = port
    return made


@pytest.mark.parametrize("way", ["STARTTLS", pytest.param("implicit", marks=pytest.mark.full)])
def test_no_weakness(server, folder, figure, way):
    try:
        root = peers.extract("testssl.sh")
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    report = folder / "report.json"
    to = ["-t", "smtp", f"127.0.0.1:{server.port}"] if way == "STARTTLS" else [f"127.0.0.1:{server.implicit_port}"]
    # Protocols, cipher lists, forward secrecy, order, the server's defaults, known attacks.
    checks = ["-p", "-s", "-f", "-P", "-S", "-U"]
    environment = {**peers.environment(root), "TESTSSL_INSTALL_DIR": str(root / "etc/testssl"),
                   "PATH": f"{root}/usr/bin:{os.environ['PATH']}"}
    done = subprocess.run(["bash", root / "usr/bin/testssl", "--quiet", "--color", "0", "--warnings", "off",
                           "--nodns", "none", *checks, "--jsonfile", report, *to],
                          capture_output=True, text=True, timeout=400, env=environment)
    findings = json.loads(report.read_text()) if report.exists() else []
    names = {finding["id"] for finding in findings}
    # It has really looked.
    assert {"TLS1_2", "TLS1_3", "heartbleed", "secure_renego", "ROBOT", "SWEET32"} <= names, done.stdout[-3000:]
    bad = [finding for finding in findings if finding["severity"] not in HARMLESS
           and finding["id"].split(" ")[0] not in OF_THE_CERTIFICATE]
    assert not bad, bad
    figure(f"testssl.sh, {way}: {len(findings)} findings, none of medium or worse")
