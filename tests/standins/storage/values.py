"""Names, bodies and query strings, read as the recorded server reads them: digits in quotes are a number."""

from __future__ import annotations

import asyncio
import re
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tests.standins.storage.errors import invalid, invalid_bucket, invalid_key, too_large, wrong_type

MAX_BODY_BYTES = 1024 * 1024
MAX_KEY_CHARACTERS = 2000  # an index of the schema holds no more
READ_SECONDS = 60
KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$@=;:+,?-]+")
BUCKET = re.compile(r"[A-Za-z0-9_!.*'() &$@=;:+,?-]{1,100}")
TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.*+-]+( *;[ -~]*)?", re.ASCII)
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(gb|mb|kb|b)", re.IGNORECASE)
UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3}


def _bytes(value: Any) -> Any:
    """``1.5MB`` in bytes; anything else as it is."""
    found = SIZE.fullmatch(value) if isinstance(value, str) else None
    return int(Decimal(found[1]) * UNITS[found[2].lower()]) if found else value


Whole = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Texts = Annotated[list[str], Field(min_length=1)]


class Given(BaseModel):
    """What a request says, as far as its route reads it."""

    model_config = ConfigDict(coerce_numbers_to_str=True)


class BucketSettings(Given):
    """PUT /bucket/{id}: what is given is changed."""

    public: bool | None = False
    file_size_limit: Annotated[int, Field(ge=0), BeforeValidator(_bytes)] | None = None
    allowed_mime_types: list[str] | None = None

    def columns(self, max_bytes: int) -> dict[str, Any]:
        """The given ones, checked against the server's own limit."""
        if (self.file_size_limit or 0) > max_bytes:
            raise too_large()
        for entry in self.allowed_mime_types or ():
            if not TYPE.fullmatch(entry):
                raise wrong_type(f"mime type {entry} is not supported")
        given = self.model_dump(include=self.model_fields_set & BucketSettings.model_fields.keys())
        return given | ({"public": bool(self.public)} if "public" in given else {})


class NewBucket(BucketSettings):
    """POST /bucket."""

    name: str
    id: str | None = None


class BucketQuery(Given):
    """GET /bucket."""

    search: str = ""
    sortColumn: Literal["name", "id", "created_at", "updated_at"] = "name"
    sortOrder: Literal["asc", "desc"] = "asc"
    limit: Positive = 2**31 - 1
    offset: Whole = 0


class Sort(Given):
    """The order of a list."""

    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class Listing(Given):
    """POST /object/list."""

    prefix: str
    limit: Positive = 100
    offset: Whole = 0
    search: str = ""
    sortBy: Sort = Sort()


class Page(Given):
    """POST /object/list-v2, as far as it is built."""

    prefix: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    cursor: str | None = None
    with_delimiter: bool = False
    sortBy: Sort = Sort()


class Signing(Given):
    """POST /object/sign for one."""

    expiresIn: Positive


class SigningMany(Signing):
    """POST /object/sign for several."""

    paths: Texts


class Transfer(Given):
    """POST /object/move and /object/copy."""

    bucketId: str
    sourceKey: str
    destinationKey: str
    destinationBucket: str | None = None


class Removal(Given):
    """DELETE /object/{bucket}."""

    prefixes: Texts


Kind = TypeVar("Kind", bound=Given)


async def body(request: web.Request, kind: type[Kind]) -> Kind:
    """The JSON object of a request.

    :raise Refused: it is none, larger than 1 MiB, or not of this kind
    """
    raw = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        async for chunk in request.content.iter_any():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise too_large()
    try:
        return kind.model_validate_json(bytes(raw))
    except ValidationError as error:
        raise _told(error, "body") from None


def query(request: web.Request, kind: type[Kind]) -> Kind:
    """The query string of a request.

    :raise Refused: it is not of this kind
    """
    try:
        return kind.model_validate(dict(request.query))
    except ValidationError as error:
        raise _told(error, "querystring") from None


def _told(error: ValidationError, where: str) -> Exception:
    first = error.errors()[0]
    return invalid("/".join([where, *map(str, first["loc"])]) + f": {first['msg']}")


def key(name: str) -> str:
    """An object's name.

    :raise Refused: it has letters that are not allowed, or a part ``.`` or ``..``
    """
    if not KEY.fullmatch(name) or len(name) > MAX_KEY_CHARACTERS or {".", ".."} & set(name.split("/")):
        raise invalid_key(name)
    return name


def bucket_name(name: str) -> str:
    """A bucket's name.

    :raise Refused: it cannot be one
    """
    if not BUCKET.fullmatch(name) or name != name.strip() or name in (".", ".."):
        raise invalid_bucket()
    return name


def content_type(sent: str) -> str:
    """A content type.

    :raise Refused: it is none
    """
    if not TYPE.fullmatch(sent):
        raise wrong_type("Invalid Content-Type header")
    return sent


def owner(sub: str | None) -> uuid.UUID | None:
    """The id of the person in a token, where it is one."""
    try:
        return uuid.UUID(sub)
    except (ValueError, TypeError, AttributeError):
        return None
