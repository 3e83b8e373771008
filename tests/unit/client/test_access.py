"""What a client shows of itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cli.access import Access
from cli.output import UsageError
from trunkshow.channel import identify, tls_credentials
from trunkshow.errors import InvalidArgument


def test_a_key_and_a_token_travel_as_metadata() -> None:
    """Each in its own place, and nothing where there is nothing."""
    assert identify("", "")() == ()
    assert identify("tsk_key", "")() == (("x-api-key", "tsk_key"),)
    assert identify("", "a.b.c")() == (("authorization", "Bearer a.b.c"),)


def test_a_token_that_is_made_anew_is_asked_for_at_every_call() -> None:
    """Tokens end; a client does not."""
    numbers = itertools.count()
    shown = identify("", lambda: str(next(numbers)))
    assert [shown()[0][1], shown()[0][1]] == ["Bearer 0", "Bearer 1"]


@pytest.mark.parametrize(
    ("key", "token"), [("key", "token"), ("schlüssel", ""), ("two\nlines", ""), ("", "two\nlines")]
)
def test_what_cannot_be_sent_is_refused_before_it_is(key: str, token: str) -> None:
    """Two credentials, or what metadata cannot hold."""
    with pytest.raises(InvalidArgument):
        identify(key, token)


def test_a_certificate_comes_with_its_key(tmp_path: Path) -> None:
    """One without the other is a mistake, and a missing file is named."""
    with pytest.raises(ValueError, match="together"):
        tls_credentials(cert=tmp_path / "cert.pem")
    with pytest.raises(UsageError, match=r"gone\.pem"):
        Access(tls_ca=tmp_path / "gone.pem").client("127.0.0.1:1")
