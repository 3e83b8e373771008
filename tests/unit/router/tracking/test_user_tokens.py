"""Signed user tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.tracking.user_tokens import UserTokens, fault, token_of

OLD, NEW = b"o" * 32, b"n" * 32
NOW_S = 1_000_000.0
LATER = 1_000_060


def test_a_token_is_the_documented_one() -> None:
    """As a shop's server makes it with tools of its own: docs/tracking.md shows how."""
    assert token_of(b"k" * 32, "ann", 1_800_000_000) == "1800000000.EKG5g9q3XTy0BeHVhrxylV4bC86d9II640ze7BIjDP4"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (token_of(NEW, "ann", LATER), ""),
        (token_of(OLD, "ann", LATER), ""),
        ("", "USER_TOKEN_MISSING"),
        (token_of(NEW, "bob", LATER), "USER_TOKEN_INVALID"),
        (token_of(b"x" * 32, "ann", LATER), "USER_TOKEN_INVALID"),
        (token_of(NEW, "ann", LATER).replace(str(LATER), str(LATER + 1)), "USER_TOKEN_INVALID"),
        (token_of(NEW, "ann", LATER).replace(str(LATER), f"0{LATER}"), "USER_TOKEN_INVALID"),
        (token_of(NEW, "ann", LATER)[:-1], "USER_TOKEN_INVALID"),
        ("٣.x", "USER_TOKEN_INVALID"),
        ("1" * 5000 + ".x", "USER_TOKEN_INVALID"),
        ("never.x", "USER_TOKEN_INVALID"),
        (token_of(NEW, "ann", int(NOW_S)), "USER_TOKEN_EXPIRED"),
    ],
)
def test_a_token_says_one_thing(token: str, reason: str) -> None:
    """That this is the user, until then."""
    assert fault(token, "ann", (NEW, OLD), NOW_S) == reason


def test_secrets_come_from_a_file(tmp_path: Path) -> None:
    """One or two, each of 32 characters or more."""
    path = tmp_path / "secrets"
    path.write_bytes(NEW + b"\n" + OLD + b"\n")
    assert UserTokens(path).fault(token_of(OLD, "ann", LATER), "ann", NOW_S) == ""
    path.write_bytes(b"short\n")
    with pytest.raises(ValueError, match="at least 32"):
        UserTokens(path)
