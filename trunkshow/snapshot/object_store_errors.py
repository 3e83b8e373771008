"""What an object store's errors mean to us: not there, refused, or not answering. One line each, for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from trunkshow.snapshot.store import StoreError, StoreUnreachable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_RETRIED = {"408", "429"}
"""Answers that are the client's fault by their number, and go away by themselves."""


@contextmanager
def told(url: str) -> Iterator[None]:
    """Tell what goes wrong inside in our own errors.

    Raises:
        FileNotFoundError: there is no such object.
        AlreadyExistsError: the condition of a put does not hold: there is such an object.
        PreconditionError: the same: there is another object than the one that was read.
        StoreUnreachable: the store does not answer, or says that it cannot just now.
        StoreError: it refuses.
    """
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise
        raise StoreError(f"{url}: there is no such bucket") from error
    except BaseError as error:
        raise _translated(url, error) from error


def _translated(url: str, error: BaseError) -> StoreError:
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    if status and status[1] not in _RETRIED and status[1].startswith("4"):
        return StoreError(f"{url} refuses: {status[1]} {code[1] if code else ''}".rstrip())
    if status:
        return StoreUnreachable(f"{url} does not answer: status {status[1]} {code[1] if code else ''}".rstrip())
    if "builder error" in text:
        return StoreError(f"{url}: plain http only goes to this machine, or with AWS_ALLOW_HTTP=true")
    if "redential" in text:
        return StoreError(f"{url}: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return StoreUnreachable(f"{url} does not answer: {_last_words(text)}")


def _last_words(text: str) -> str:
    """The first line's end: what went wrong, without the address that is named already."""
    return text.partition("\n")[0].rpartition(" - ")[2][:200]
