"""What a request id stands for: a digest of the write it was used with, so that the same id with another write is a conflict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fgacore.errors import RequestError
from fgacore.limits import REQUEST_ID_BYTES_MAX
from fgacore.runtime.store import Write
from fgacore.tuples import Tuple

__all__ = ["check_request_id", "digest", "fits"]


def fits(text: str, bytes_max: int) -> bool:
    """Whether a text can be kept with a record: it is Unicode, of no more bytes."""
    try:
        return len(text.encode()) <= bytes_max
    except UnicodeEncodeError:
        return False


def check_request_id(request_id: object) -> None:
    """Refuse what is no request id: a text of 1 to 256 bytes."""
    if not isinstance(request_id, str) or not request_id:
        raise RequestError("a request id is a text, and not empty")
    try:
        size = len(request_id.encode())
    except UnicodeEncodeError:
        raise RequestError("a request id is valid Unicode") from None
    if size > REQUEST_ID_BYTES_MAX or "\0" in request_id:
        raise RequestError(f"a request id has at most {REQUEST_ID_BYTES_MAX} bytes, none of them NUL (REQUEST_ID_BYTES_MAX)")


def digest(write: Write) -> bytes:
    """SHA-256 over all that decides what a write does, in the order given."""
    deletes = write.deletes if isinstance(write.deletes, list) else []
    told = [[_told(item) for item in items] for items in (write.writes, deletes)]
    told += [[write.on_duplicate, write.ignore_missing, write.model_id]]
    try:
        text = json.dumps(told, default=_plain, sort_keys=True, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"what is written has no digest: {error}", code="invalid_tuple") from error
    return hashlib.sha256(text.encode()).digest()


def _told(item: Any) -> Any:
    if isinstance(item, Tuple):
        return [item.subject, item.relation, item.object, item.condition, item.context, item.expires_at]
    return [*item, None, None, None] if isinstance(item, tuple) and len(item) == 3 else item


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [type(value).__name__, str(value)]
