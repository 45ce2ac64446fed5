"""8-bit mail for a server without 8BITMIME, read by Python's email package before and after."""

import email
import email.policy
import re
import socketserver
import threading

import pytest

from harness.process import wait_until
from make_messages import MESSAGES


class Old(socketserver.StreamRequestHandler):
    """A server of RFC 821 with SIZE: ASCII only, and it looks."""

    def reply(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.reply("220 old")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            self.server.commands.append(line)
            if verb == b"EHLO":
                self.reply("250-old\r\n250 SIZE 99000000")
            elif verb == b"DATA":
                self.reply("354 go ahead")
                content = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line[1:] if line.startswith(b".") else line
                self.server.mails.append(content)
                self.reply("250 2.0.0 taken")
            elif verb == b"QUIT":
                self.reply("221 bye")
                return
            else:
                self.reply("250 ok")


@pytest.fixture
def old(ends):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old)
    server.daemon_threads = True
    server.mails, server.commands = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.stop = server.shutdown
    ends.append(server)
    return server


def has_8bit(content):
    return any(byte > 127 for byte in content)


def parts(content):
    """What a reader sees: of each entity its type, parameters and decoded bytes."""
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    found = []
    for part in message.walk():
        body = None
        if not part.is_multipart():
            body = part.get_payload(decode=True).replace(b"\r\n", b"\n").rstrip(b"\n")
        fields = [(name, str(value)) for name, value in part.items()
                  if name.lower() not in ("received", "mime-version", "content-type",
                                          "content-transfer-encoding")]
        found.append((part.get_content_type(), part.get_param("charset", ""), fields, body))
    return found


CHOSEN = [name for name, content in MESSAGES.items()
          if has_8bit(content.partition(b"\r\n\r\n")[2]) and len(content) < 1_000_000]
LARGE = (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\n"
         b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
         "Grüße aus Köln, und noch ein paar Wörter dazu.\r\n".encode() * 20000 +
         b"\r\n--xx\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit"
         b"\r\n\r\n" + ("Привет " * 9 + "\r\n").encode("koi8-r") * 5000 + b"\r\n--xx--\r\n")


def test_what_is_read_is_the_same(old, start_postrider):
    postrider = start_postrider(next_hop=old.server_address)
    messages = {name: MESSAGES[name] for name in CHOSEN} | {"large": LARGE}
    for name, content in messages.items():
        postrider.send(content, sender="", recipients=[f"{name}@old.test"])
    def is_settled():
        return len(re.findall(r"message-(delivered|failed) ", postrider.log())) >= len(messages)
    wait_until(is_settled, 60, lambda: f"{len(old.mails)} of {len(messages)}\n{postrider.log()[-2000:]}")
    assert not any(has_8bit(content) for content in old.mails)
    assert not any(b"BODY=" in line for line in old.commands)
    refused = set(re.findall(r"message-failed .*?to=\"?<?(\w+)@old\.test.*?5\.6\.3|"
                             r"message-failed .*?(\w+)@old\.test", postrider.log()))
    refused = {name for pair in refused for name in pair if name}
    for name, content in messages.items():
        if name in refused:
            # Only what may not be touched, or cannot be understood.
            header = content.partition(b"\r\n\r\n")[0]
            assert (has_8bit(header) or b"multipart/signed" in content
                    or name in ("no_header_no_empty_line", "invalid_utf8", "every_byte",
                                "line_without_colon_in_header", "uuencoded", "yenc_like")), name
            continue
        expected = parts(content)
        def is_it(came):
            got = parts(came)
            return [(one[0], one[2], one[3]) for one in got] == \
                [(one[0], one[2], one[3]) for one in expected]
        assert any(is_it(came) for came in old.mails), (name, expected[:3])
    assert "large" not in refused and "utf8_8bit" not in refused


def test_headers_in_8_bits_come_back(old, start_postrider):
    """RFC 6152 3: it cannot be sent, and its sender is told so."""
    postrider = start_postrider(next_hop=old.server_address)
    postrider.send(b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n", recipients=["r@old.test"])
    wait_until(lambda: old.mails, 20, postrider.log)
    assert b"Status: 5.6.3" in old.mails[0] and b"r@old.test" in old.mails[0]
    postrider.wait_drained()
