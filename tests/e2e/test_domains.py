"""Domains of our own: who is there is decided at RCPT, and where his mail goes is in the configuration."""

import os
import re
import smtplib

import peers
import pytest

from harness.process import free_port, wait_until
from harness.receivers import Dovecot, needs_root
from make_messages import MESSAGES

ALIASES = """\
# people
sales: anna, bert@ours.test,
    someone@elsewhere.test
chief: "anna.b"
boss: chief
round: round@other.test
list@ours.test: sales, anna
"""

USERS = """\
anna
Bert:
anna.b
# nobody else
"""


class Site:
    """postrider with `ours.test`, whose users live at one sink; all other mail goes to another."""

    def __init__(self, folder, start_postrider, start_sink, domain=""):
        self.home, self.others = start_sink(save=True, host="127.0.0.3"), start_sink(save=True)
        self.users, self.aliases = folder / "users", folder / "aliases"
        self.users.write_text(USERS)
        self.users.chmod(0o600)
        self.aliases.write_text(ALIASES)
        self.aliases.chmod(0o644)
        self.loop = folder / "loop"
        self.loop.write_text("round: round@ours.test\n")
        self.server = start_postrider(next_hop=self.others.address, extra=f"""\
domain ours.test {{
    users file:{self.users}  aliases file:{self.aliases}
    deliver smtp:{self.home.host}:{self.home.port}
    {domain}
}}
domain other.test {{ aliases file:{self.loop} }}
""")

    def rcpt(self, address, sender="s@client.test"):
        with self.server.smtp() as client:
            client.ehlo()
            client.mail(sender)
            code, text = client.rcpt(address)
            return code, text.decode()

    @staticmethod
    def recipients(sink, count):
        """Of all messages that have come, sorted."""
        return sorted(re.sub(r"[<>]", "", str(given)) for envelope, _ in sink.wait_messages(count)
                      for given in re.findall(r"<([^>]*)>", str(envelope["recipients"])))

    def send(self, *recipients):
        self.server.send(MESSAGES["plain"], recipients=recipients)
        self.server.wait_drained()


@pytest.fixture
def site(folder, start_postrider, start_sink):
    return Site(folder, start_postrider, start_sink)


@pytest.mark.parametrize("address", ["nobody@ours.test", "ann@ours.test", "anna.c@ours.test",
                                     "nobody+anna@ours.test", "@ours.test", '" "@ours.test'])
def test_the_unknown_are_refused(site, address):
    code, text = site.rcpt(address)
    assert code in (550, 501, 553), text
    assert code != 550 or text.startswith("5.1.1")


@pytest.mark.parametrize("address", ["anna@ours.test", "ANNA@Ours.TEST", "bert@ours.test",
                                     "anna+anything@ours.test", '"anna"@ours.test',
                                     "postmaster@ours.test", "PostMaster@OURS.test", "Postmaster"])
def test_who_is_there_is_accepted(site, address):
    if address.lower().startswith("postmaster"):
        site.server.stop()
        site.server.extra = "postmaster anna@ours.test\n" + site.server.extra
        site.server.start()
    code, text = site.rcpt(address)
    assert code == 250, text


def test_anybody_may_write_to_our_domains_only(site):
    site.server.stop()
    site.server.relay_from = "192.0.2.0/24"
    site.server.start()
    assert site.rcpt("anna@ours.test")[0] == 250
    code, text = site.rcpt("someone@elsewhere.test")
    assert code == 550 and text.startswith("5.7.1")
    # What an alias of ours says is not the client's wish: it may lead anywhere.
    site.send("sales@ours.test")
    assert site.recipients(site.others, 1) == ["someone@elsewhere.test"]


def test_an_alias_goes_to_each_of_its_addresses_once(site):
    site.send("sales@ours.test", "anna@ours.test", "list@ours.test")
    home = site.recipients(site.home, 1)
    assert sorted(set(home)) == ["anna@ours.test", "bert@ours.test"]
    assert set(site.recipients(site.others, 1)) == {"someone@elsewhere.test"}


def test_aliases_lead_to_aliases_but_not_in_circles(site):
    assert site.rcpt("boss@ours.test")[0] == 250
    site.send("boss@ours.test")
    assert site.recipients(site.home, 1) == ["anna.b@ours.test"]
    code, text = site.rcpt("round@ours.test")
    assert code == 550 and text.startswith("5.4.6")


def test_a_detail_stays_in_the_address(site):
    """The server at home decides what to do with it (RFC 5233)."""
    site.send("anna+lists@ours.test")
    assert site.recipients(site.home, 1) == ["anna+lists@ours.test"]


def test_the_rest_goes_to_the_catch_all(folder, start_postrider, start_sink):
    site = Site(folder, start_postrider, start_sink, 'catch-all anna@ours.test subaddress ""')
    site.send("nobody@ours.test")
    assert site.recipients(site.home, 1) == ["anna@ours.test"]
    site.send("bert+x@ours.test")
    assert site.recipients(site.home, 2) == ["anna@ours.test", "anna@ours.test"]


def test_some_are_refused_and_the_others_get_it(site):
    with site.server.smtp() as client:
        refused = client.sendmail("s@client.test", ["anna@ours.test", "nobody@ours.test"],
                                  MESSAGES["plain"])
    assert list(refused) == ["nobody@ours.test"]
    site.server.wait_drained()
    assert site.recipients(site.home, 1) == ["anna@ours.test"]


def test_a_host_that_is_down_is_passed_over(folder, start_postrider, start_sink):
    """Several hosts are tried in the order of the configuration."""
    first, second = start_sink(save=True, host="127.0.0.6"), start_sink(save=True, host="127.0.0.7")
    server = start_postrider(extra=f"""\
domain ours.test {{ deliver smtp:127.0.0.6:{first.port} smtp:127.0.0.7:{second.port} }}
deliver {{ idle 0s }}
""")
    server.send(MESSAGES["plain"], recipients=["anybody@ours.test"])
    server.wait_drained()
    assert len(first.messages()) == 1
    first.stop()
    server.send(MESSAGES["plain"], recipients=["anybody@ours.test"])
    server.wait_drained()
    assert len(second.messages()) == 1


def test_a_reload_brings_new_users(site):
    assert site.rcpt("clara@ours.test")[0] == 550
    with site.users.open("a") as users:
        users.write("clara\n")
    site.server.command("reload") # says that it is good; the engine takes it in a moment
    wait_until(lambda: site.rcpt("clara@ours.test")[0] == 250, 10, lambda: "clara is known")
    site.send("clara@ours.test")
    assert site.recipients(site.home, 1) == ["clara@ours.test"]


def test_a_bad_table_changes_nothing(site):
    site.users.write_text("anna\nb ert\nclara:x:0:0:/\n")
    done = site.server.command("config", "check", check=False)
    assert done.returncode != 0
    assert "users:2:" in done.stderr and "users:3:" in done.stderr
    assert site.server.command("reload", check=False).returncode != 0
    assert site.rcpt("bert@ours.test")[0] == 250


def test_a_circle_in_one_file_is_found_when_it_is_read(site):
    site.aliases.write_text("one: two\ntwo: one\n")
    done = site.server.command("config", "check", check=False)
    assert done.returncode != 0
    assert re.search(r"aliases:2:\d+: this leads back to", done.stderr)


def test_a_table_that_others_may_write_is_refused(site):
    site.aliases.chmod(0o666)
    done = site.server.command("config", "check", check=False)
    assert done.returncode != 0 and "aliases" in done.stderr


def test_a_refused_client_is_told_at_rcpt(site):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        site.server.send(MESSAGES["plain"], recipients=["nobody@ours.test"])


@pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)
def test_a_mail_store_of_one_domain(folder, ends, start_postrider, start_sink, interop):
    """By LMTP over its socket; the store's users are known at RCPT, and an alias leads out of it."""
    store = Dovecot("127.0.0.8", free_port("127.0.0.8"), {"anna": None, "bert": None})
    ends.append(store)
    try:
        store.start()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    others = start_sink(save=True)
    users, aliases = folder / "users", folder / "aliases"
    users.write_text("anna\nbert\n")
    aliases.write_text("all: anna, bert, someone@elsewhere.test\n")
    server = start_postrider(next_hop=others.address, extra=f"""\
domain store.test {{
    users file:{users}  aliases file:{aliases}
    deliver lmtp:{store.socket}
}}
""")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        server.send(MESSAGES["plain"], recipients=["clara@store.test"])
    server.send(MESSAGES["plain"], recipients=["all@store.test"])
    for user in ("anna", "bert"):
        (content,) = store.wait_inbox(user)
        assert content.endswith(MESSAGES["plain"])
    assert len(others.wait_messages(1)) == 1
    server.wait_drained()
    interop("Dovecot", "out LMTP", "the store of one domain of several")
