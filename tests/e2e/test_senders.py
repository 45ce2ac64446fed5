"""The programs that people send with: each gets its message through, and the content is right."""

import email
import email.policy
import os
import shutil
import subprocess

import peers
import pytest

from harness.process import make_certificate
from harness.receivers import smtp_source
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (make deps)")
    return path


def run(command, content=None, environment=None):
    done = subprocess.run([str(word) for word in command], input=content, capture_output=True,
                          timeout=60, env=environment)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["in", "in TLS"])
def way(request):
    return request.param


@pytest.fixture
def pair(start_postrider, start_sink):
    sink = start_sink(save=True)
    return start_postrider(next_hop=sink.address), sink


@pytest.fixture
def secured(certificate, start_postrider, start_sink):
    """One that offers STARTTLS."""
    sink = start_sink(save=True)
    tls = f"tls {{ certificate {certificate}/certificate.pem  key {certificate}/key.pem }}\n"
    return start_postrider(next_hop=sink.address, extra=tls), sink


def expect_way(content, way):
    """Our Received field says how it came."""
    with_tls = b"with ESMTPS id" in content.replace(b"\r\n\t", b" ")
    assert with_tls == (way == "in TLS"), content[:1000]


def one(sink):
    (envelope, content), = sink.wait_messages(1)
    return str(envelope), content


def test_swaks(secured, certificate, folder, way, interop):
    postrider, sink = secured
    (folder / "text.eml").write_bytes(TEXT.replace(b"\r\n", b"\n"))
    tls = ["--tls", "--tls-ca-path", certificate / "certificate.pem"] if way == "in TLS" else []
    said = run([tool("swaks"), "--server", f"localhost:{postrider.port}", "--helo", "client.test",
                "--from", "anna@client.test", "--to", "a@recipient.test,b@recipient.test",
                "--pipeline", *tls, "--data", f"@{folder}/text.eml"])
    assert "250 " in said
    envelope, content = one(sink)
    assert "<a@recipient.test>" in envelope and "<b@recipient.test>" in envelope
    assert b"The picture is attached." in content
    expect_way(content, way)
    interop("swaks", way)


def test_msmtp(secured, certificate, way, interop):
    postrider, sink = secured
    tls = ["--tls=on", "--tls-starttls=on", f"--tls-trust-file={certificate}/certificate.pem"] \
        if way == "in TLS" else ["--tls=off"]
    run([tool("msmtp"), "--host=localhost", f"--port={postrider.port}", "--from=anna@client.test",
         *tls, "--auth=off", "--", "r@recipient.test"], TEXT.replace(b"\r\n", b"\n"))
    envelope, content = one(sink)
    assert "<anna@client.test>" in envelope
    assert content.endswith(TEXT)
    expect_way(content, way)
    interop("msmtp", way)


def test_curl(secured, certificate, folder, way, interop):
    postrider, sink = secured
    (folder / "text.eml").write_bytes(TEXT)
    tls = ["--ssl-reqd", "--cacert", certificate / "certificate.pem"] if way == "in TLS" else []
    run([tool("curl"), "--silent", "--show-error", f"smtp://localhost:{postrider.port}/client.test", *tls,
         "--mail-from", "anna@client.test", "--mail-rcpt", "r@recipient.test",
         "--upload-file", folder / "text.eml"])
    content = one(sink)[1]
    assert content.endswith(TEXT)
    expect_way(content, way)
    interop("curl", way)


NODEMAILER = r"""
const [port, secure, ca] = process.argv.slice(2);
const fs = require("fs");
const transport = require("nodemailer").createTransport({
    host: "localhost", port: Number(port), name: "client.test", pool: true, maxConnections: 2,
    requireTLS: secure === "in TLS", ignoreTLS: secure !== "in TLS", tls: {ca: fs.readFileSync(ca)}});
const message = number => ({
    from: {name: "Änne", address: "anna@client.test"}, to: "r@recipient.test", subject: `Grüße ${number}`,
    text: "über alles\n.\n..a dot\n", attachments: [{filename: "ä.bin", content: Buffer.alloc(50000, number)}]});
Promise.all([1, 2, 3, 4, 5, 6].map(n => transport.sendMail(message(n))))
    .then(sent => { transport.close(); console.log(sent.map(s => s.response).join("\n")); })
    .catch(error => { console.error(error); process.exit(1); });
"""


def test_nodemailer(secured, certificate, folder, way, interop):
    postrider, sink = secured
    try:
        modules = peers.npm("nodemailer") / "node_modules"
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    (folder / "send.cjs").write_text(NODEMAILER)
    said = run([tool("node"), folder / "send.cjs", postrider.port, way, certificate / "certificate.pem"],
               environment={**os.environ, "NODE_PATH": str(modules)})
    assert said.count("250 2.0.0 accepted as") == 6
    came = [content for _, content in sink.wait_messages(6)]
    subjects = {email.message_from_bytes(content, policy=email.policy.default)["subject"] for content in came}
    assert subjects == {f"Gr\u00fc\u00dfe {number}" for number in range(1, 7)}
    for content in came:
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert parsed.get_body().get_content().replace("\r\n", "\n") == "\u00fcber alles\n.\n..a dot\n"
        expect_way(content, way)
    interop("nodemailer", way)


def test_neomutt(secured, certificate, folder, way, interop):
    postrider, sink = secured
    try:
        root = peers.extract("neomutt")
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    tls = "yes" if way == "in TLS" else "no"
    (folder / "rc").write_text(f"""
set smtp_url = "smtp://localhost:{postrider.port}/"
set ssl_starttls = {tls}
set ssl_force_tls = {tls}
set ssl_usesystemcerts = no
set certificate_file = {certificate}/certificate.pem
set from = "anna@client.test"
set realname = "\u00c4nne"
set hostname = client.test
set copy = no
set record = ""
set charset = utf-8
""")
    (folder / "picture.bin").write_bytes(bytes(range(256)) * 40)
    run([root / "usr/bin/neomutt", "-n", "-F", folder / "rc", "-s", "Gr\u00fc\u00dfe", "-a", folder / "picture.bin",
         "--", "r@recipient.test"], "\u00fcber alles\n.\nFrom here\n".encode(),
        {**peers.environment(root), "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "dumb"})
    content = one(sink)[1]
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed["subject"] == "Gr\u00fc\u00dfe"
    assert parsed.get_body().get_content().replace("\r\n", "\n") == "\u00fcber alles\n.\nFrom here\n"
    attached, = parsed.iter_attachments()
    assert attached.get_content() == bytes(range(256)) * 40
    expect_way(content, way)
    interop("neomutt", way)


def test_smtplib(pair, interop):
    postrider, sink = pair
    with postrider.smtp() as client:
        assert client.ehlo()[0] == 250
        for extension in ("pipelining", "size", "8bitmime", "enhancedstatuscodes", "chunking"):
            assert client.has_extn(extension), extension
        assert client.sendmail("anna@client.test", ["r@recipient.test"], TEXT) == {}
        code, reply = client.docmd("VRFY", "root")
        assert code in (252, 502, 500), reply
    assert one(sink)[1].endswith(TEXT)
    interop("Python smtplib", "in")


@pytest.mark.parametrize("options", [[], ["-d"], ["-r", "5"], ["-l", "300000", "-m", "20"]],
                         ids=["plain", "one-connection", "five-recipients", "300-KB"])
def test_smtp_source(pair, options, interop):
    postrider, sink = pair
    try:
        program, environment = smtp_source()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    count = 20 if "-m" in options else 200
    run([program, "-s", "10", "-m", str(count), *options, "-f", "anna@client.test", "-t",
         "r@recipient.test", f"127.0.0.1:{postrider.port}"], environment=environment)
    assert len(sink.wait_messages(count, 60)) == count
    interop("smtp-source", "in")


def test_our_own_address_in_place_of_a_domain(start_postrider, start_sink):
    """RFC 5321 4.1.3, 4.5.1: the postmaster can be reached when nothing else of us is known."""
    sink = start_sink(save=True)
    host, port = sink.address
    postrider = start_postrider(next_hop=sink.address, extra="domain ours.test { "
                                f"deliver smtp:{host}:{port} }}\n")
    postrider.send(TEXT, recipients=["postmaster@[127.0.0.1]"])
    envelope, _ = one(sink)
    assert "<postmaster@ours.test>" in envelope
