"""What the subject says to which a record of a NATS stream could be acknowledged."""

from __future__ import annotations

from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from trunkshow.eventlog.nats_message import message_of

SHORT = "$JS.ACK.EVENTS.consumer.1.17.4.1764000000123000000.250"


def with_reply(reply: str) -> Msg:
    """A message as the client has it."""
    return Msg(cast("Any", None), reply=reply, data=b"record")


@pytest.mark.parametrize(
    "reply",
    [
        SHORT,
        "$JS.ACK.hub.account.EVENTS.consumer.1.17.4.1764000000123000000.250",
        "$JS.ACK._.account.EVENTS.consumer.1.17.4.1764000000123000000.250.token",
    ],
)
def test_it_says_what_the_client_reads_from_it(reply: str) -> None:
    """With a domain and an account before the stream's name, as a server may have it, and without."""
    told = with_reply(reply).metadata
    written_ms = round(told.timestamp.timestamp() * 1000)
    as_client = (told.sequence.stream, told.sequence.consumer, told.num_pending, written_ms, b"record")
    assert tuple(message_of(with_reply(reply))) == as_client == (17, 4, 250, 1764000000123, b"record")


@pytest.mark.parametrize(
    "reply",
    ["", "_INBOX.abc", SHORT.replace("ACK", "API"), SHORT.rpartition(".")[0], SHORT.replace("17", "seventeen")],
)
def test_any_other_subject_is_no_records(reply: str) -> None:
    """Whoever reads begins anew with another consumer."""
    with pytest.raises(ValueError, match=r".+"):
        message_of(with_reply(reply))
