"""The membership as it is looked up: from a list, a file, or a name server of our own on a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from structlog.testing import capture_logs

from trunkshow import member_names, membership
from trunkshow.membership import MEMBERS_MAX, Members, Membership, MembersUnknown, StaticMembers, source


class NameServer(asyncio.DatagramProtocol):
    """Answers what it is told to, from a real socket.

    Attributes:
        records: by name and kind, as text.
        refuses: kinds that it answers with a failure.
        silent: kinds that it does not answer at all.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.refuses: set[str] = set()
        self.silent: set[str] = set()

    def connection_made(self, transport: Any) -> None:
        """Listening."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question."""
        asked = dns.message.from_wire(data)
        (question,) = asked.question
        kind = dns.rdatatype.to_text(question.rdtype)
        if kind in self.silent:
            return
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        name = question.name.to_text(omit_final_dot=True)
        if kind in self.refuses:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text_list(question.name, 1, "IN", kind, records))
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def names() -> AsyncIterator[tuple[NameServer, dns.asyncresolver.Resolver]]:
    """A name server, and a resolver that asks no other."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    yield server, resolver
    transport.close()


class Scripted:
    """A source that gives one answer after the other; an exception is raised, None never comes."""

    def __init__(self, *answers: Members | Exception | None) -> None:
        self.answers = list(answers)

    async def read(self) -> Members:
        """The next one."""
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


async def test_a_list_is_its_addresses() -> None:
    """In its order, each once."""
    assert await source("static:a:1,b:2,a:1").read() == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("spelt", "normal"),
    [
        ("Shard-0.Shop.Example.:7451", "shard-0.shop.example:7451"),
        (" a:07451 ", "a:7451"),
        ("[FD00:0:0:0:0:0:0:1]:7451", "[fd00::1]:7451"),
        ("fd00::1:7451", "[fd00::1]:7451"),
        ("10.0.0.1:1", "10.0.0.1:1"),
    ],
)
def test_names_have_one_form(spelt: str, normal: str) -> None:
    """However they are spelt: partitions are placed on them."""
    assert member_names.address(spelt) == normal
    assert member_names.normal(normal) == normal


async def test_names_are_in_that_form_wherever_they_come_from(
    tmp_path: Path, names: tuple[NameServer, dns.asyncresolver.Resolver]
) -> None:
    """A list, a file, a service record; two spellings of one name are one member."""
    server, resolver = names
    server.records = {("_grpc._tcp.shards.test", "SRV"): ["0 50 7451 A.Shards.test."]}
    path = tmp_path / "members"
    path.write_text("A.shards.test:7451\na.shards.test.:07451\n")
    specs = ("static:A.shards.test.:7451", f"file:{path}", "srv:_grpc._tcp.shards.test")
    assert {await source(spec, resolver).read() for spec in specs} == {("a.shards.test:7451",)}
    assert await StaticMembers(("A.shards.test:7451",)).read() == ("a.shards.test:7451",)


async def test_a_file_is_its_lines_without_comments(tmp_path: Path) -> None:
    """And is read anew every time."""
    path = tmp_path / "members"
    path.write_text("# shards\na:1\n\n  [::1]:2  # the new one\n")
    members = source(f"file:{path}")
    before = await members.read()
    path.write_text("a:1\n")
    assert (before, await members.read()) == (("a:1", "[::1]:2"), ("a:1",))


@pytest.mark.parametrize("content", [b"a:1\nb\n", b"a:1\nb:0\n", b"a:1\nb:65536\n", b"\xff", b"x:1\n" * 300_000])
async def test_a_file_with_anything_wrong_is_no_membership(tmp_path: Path, content: bytes) -> None:
    """Half of a membership would move partitions for nothing."""
    path = tmp_path / "members"
    path.write_bytes(content)
    with pytest.raises(MembersUnknown):
        await source(f"file:{path}").read()


async def test_a_file_that_hangs_is_no_membership(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody writes to blocks its reader as a dead file system does."""
    path = tmp_path / "members"
    os.mkfifo(path)
    monkeypatch.setattr(membership, "WITHIN_S", 0.01)
    members = source(f"file:{path}")
    with pytest.raises(MembersUnknown, match="within"):
        await members.read()
    with pytest.raises(MembersUnknown, match="earlier"):
        await members.read()
    os.close(os.open(path, os.O_RDWR))  # lets the reader go


async def test_a_name_is_all_its_addresses(names: tuple[NameServer, dns.asyncresolver.Resolver]) -> None:
    """Of both families, with the one port."""
    server, resolver = names
    server.records = {("shards.test", "A"): ["10.0.0.2", "10.0.0.1"], ("shards.test", "AAAA"): ["fd00::1"]}
    assert await source("dns:shards.test:7451", resolver).read() == ("10.0.0.1:7451", "10.0.0.2:7451", "[fd00::1]:7451")


async def test_a_name_of_one_family_needs_no_other(names: tuple[NameServer, dns.asyncresolver.Resolver]) -> None:
    """That there are no records of the other is an answer."""
    server, resolver = names
    server.records = {("shards.test", "A"): ["10.0.0.1"]}
    assert await source("dns:shards.test:7451", resolver).read() == ("10.0.0.1:7451",)


@pytest.mark.parametrize(
    "fault", [{"refuses": {"AAAA"}}, {"refuses": {"A"}}, {"silent": {"AAAA"}}, {"records": {}}], ids=str
)
async def test_a_name_that_is_half_resolved_is_no_membership(
    names: tuple[NameServer, dns.asyncresolver.Resolver], fault: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is one that is not known, or whose server says nothing."""
    monkeypatch.setattr(membership, "WITHIN_S", 0.3)
    server, resolver = names
    server.records = {("shards.test", "A"): ["10.0.0.1"], ("shards.test", "AAAA"): ["fd00::1"]}
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises(MembersUnknown, match=r"shards\.test"):
        await source("dns:shards.test:7451", resolver).read()


async def test_a_service_record_is_its_targets(names: tuple[NameServer, dns.asyncresolver.Resolver]) -> None:
    """With their names, which outlive their addresses, and their own ports."""
    server, resolver = names
    server.records = {
        ("_grpc._tcp.shards.test", "SRV"): ["0 50 7451 Shard-1.shards.test.", "0 50 7452 shard-0.shards.test."]
    }
    members = await source("srv:_grpc._tcp.shards.test", resolver).read()
    assert members == ("shard-0.shards.test:7452", "shard-1.shards.test:7451")


@pytest.mark.parametrize(
    "spec", ["", "a:1", "static:", "static:a", "file:", "dns:name", "dns:name:x", "srv:", "etcd:a:1"]
)
def test_what_is_no_membership_is_refused(spec: str) -> None:
    """Before anything starts, and in words."""
    with pytest.raises(ValueError, match=r"members: |not an address"):
        source(spec)


def test_a_list_beyond_the_limit_is_refused() -> None:
    """A limit on everything."""
    with pytest.raises(ValueError, match="at most"):
        source("static:" + ",".join(f"a:{1 + number}" for number in range(MEMBERS_MAX + 1)))


async def test_a_change_is_told_once() -> None:
    """And an answer that says the same is none."""
    members = Membership(Scripted(("a:1",), ("a:1",), ("a:1", "b:2")))
    assert [await members.poll() for _ in range(3)] == [True, False, True]
    assert members.members == ("a:1", "b:2")


@pytest.mark.parametrize("lost", [(), MembersUnknown("gone"), None], ids=["empty", "unreadable", "silent"])
async def test_the_last_good_answer_holds(lost: Members | Exception | None) -> None:
    """However long there is none; that is logged once, and its end too."""
    members = Membership(Scripted(("a:1",), lost, lost, ("b:2",)), within_s=0.01)
    await members.poll()
    with capture_logs() as logs:
        changed = [await members.poll(), await members.poll()]
        kept = members.members
        await members.poll()
    assert (changed, kept, members.members) == ([False, False], ("a:1",), ("b:2",))
    assert [line["event"] for line in logs] == ["members.unknown", "members.known", "members.changed"]


async def test_followers_hear_of_every_change() -> None:
    """And of nothing else; time is the test's."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    heard: list[Members] = []
    with pytest.raises(asyncio.CancelledError):
        await Membership(Scripted(("a:1",), ("a:1",), ("b:2",))).follow(heard.append, period_s=7, sleep=sleep)
    assert (heard, slept) == ([("a:1",), ("b:2",)], [7, 7, 7])


async def test_an_answer_that_nobody_foresaw_ends_no_following() -> None:
    """It is told, with its traceback; the next good one is heard."""
    looks = 0

    async def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise asyncio.CancelledError

    heard: list[Members] = []
    answers = (("a:1",), ZeroDivisionError("scripted"), ZeroDivisionError("scripted"), ("b:2",))
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await Membership(Scripted(*answers)).follow(heard.append, sleep=sleep)
    assert heard == [("a:1",), ("b:2",)]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["members.failed"]


async def test_who_fails_at_a_change_hears_of_it_again() -> None:
    """Or they would go by another membership than everybody else until the next change."""
    looks = 0

    async def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise asyncio.CancelledError

    heard: list[Members] = []

    def changed(members: Members) -> None:
        heard.append(members)
        if len(heard) == 1:
            raise ZeroDivisionError("scripted")

    with pytest.raises(asyncio.CancelledError):
        await Membership(Scripted(("a:1",), ("a:1",))).follow(changed, sleep=sleep)
    assert heard == [("a:1",), ("a:1",)]
