"""Servers of others take what postrider delivers, in clear and under verified TLS."""

import email
import email.policy
import os

import peers
import pytest

from harness.others import Aiosmtpd, Chasquid, OpenSmtpd
from harness.process import free_port, make_certificate
from harness.receivers import needs_root
from make_messages import MESSAGES

as_root = pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)

# Not those that these servers refuse by themselves.
CHOSEN = ["plain", "attachment", "alternative", "dots_at_line_starts", "utf8_8bit", "folded_header",
          "nested", "every_line_a_dot", "base64_300k"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    folder.parent.chmod(0o755), folder.chmod(0o755)
    return make_certificate(folder, ("mx.test", "localhost"), ["127.0.0.7"])


@pytest.fixture(params=[Chasquid, Aiosmtpd, pytest.param(OpenSmtpd, marks=as_root)],
                ids=["chasquid", "aiosmtpd", "OpenSMTPD"])
def receiver(request, ends, certificate):
    made = request.param("127.0.0.7", free_port("127.0.0.7"), "real.test", certificate)
    ends.append(made)
    try:
        made.start()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    made.name = request.node.callspec.id.split("-")[0]
    return made


@pytest.mark.parametrize("way", ["out", "out TLS"])
def test_it_takes_what_we_deliver(receiver, certificate, start_postrider, interop, way):
    if isinstance(receiver, OpenSmtpd) and way == "out TLS":
        pytest.skip("Debian 12's OpenSMTPD ends every handshake with an internal error, openssl s_client's too")
    tls = f"tls must\n tls-ca {certificate}/certificate.pem" if way == "out TLS" else "tls never"
    postrider = start_postrider(next_hop=(receiver.host, receiver.port), deliver=tls)
    for name in CHOSEN:
        postrider.send(MESSAGES[name], recipients=["r@real.test"])
    came = [content.replace(b"\r\n", b"\n") for content in receiver.wait_messages(len(CHOSEN), 60)]
    postrider.wait_drained()
    for name in CHOSEN:
        body = MESSAGES[name].partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
        assert any(content.endswith(b"\n\n" + body) for content in came), name
    assert ("verified" in postrider.log()) == (way == "out TLS")
    peer = next(peer for peer in ("chasquid", "aiosmtpd", "OpenSMTPD") if peer in receiver.name)
    interop(peer, way)


def test_one_that_is_unknown_is_bounced(receiver, certificate, start_postrider, start_sink):
    """Of two recipients one is of a domain that this server does not take: its own words come back."""
    if isinstance(receiver, Aiosmtpd):
        pytest.skip("it takes everybody")
    postrider = start_postrider(next_hop=(receiver.host, receiver.port), deliver="tls never")
    postrider.send(MESSAGES["plain"], sender="anna@real.test",
                   recipients=["r@real.test", "r@elsewhere.test"])
    came = receiver.wait_messages(2, 60)
    report, = [content for content in came if b"multipart/report" in content]
    parsed = email.message_from_bytes(report, policy=email.policy.default)
    status = [part for part in parsed.walk() if part.get_content_type() == "message/delivery-status"][0]
    assert "r@elsewhere.test" in str(status) and "Status: 5." in str(status)
