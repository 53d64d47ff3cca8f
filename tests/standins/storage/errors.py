"""Storage's error shape: HTTP 400 for nearly everything, the status that is meant as text in the body."""

from __future__ import annotations

import psycopg
from aiohttp import web


class Refused(Exception):
    """A request that Storage answers with an error; ``http`` is the status on the wire, ``status`` the one meant."""

    def __init__(self, status: int, error: str, code: str, message: str, http: int = 400) -> None:
        super().__init__(message)
        self.status, self.error, self.code, self.message, self.http = status, error, code, message, http

    def response(self) -> web.Response:
        """The JSON answer, always with the same four keys."""
        body = {"statusCode": str(self.status), "error": self.error, "message": self.message, "code": self.code}
        return web.json_response(body, status=self.http)


def invalid(message: str) -> Refused:
    """The request breaks the schema of its route."""
    return Refused(400, "Error", "InvalidRequest", message)


def no_bucket() -> Refused:
    """The bucket does not exist, or the caller may not know it."""
    return Refused(404, "Bucket not found", "NoSuchBucket", "Bucket not found")


def no_object() -> Refused:
    """The object does not exist, or the caller may not see it."""
    return Refused(404, "not_found", "NoSuchKey", "Object not found")


def invalid_key(name: str) -> Refused:
    """A name that no object can have."""
    return Refused(400, "InvalidKey", "InvalidKey", f"Invalid key: {name}")


def invalid_bucket() -> Refused:
    """A name that no bucket can have."""
    return Refused(400, "Invalid Input", "InvalidBucketName", "Bucket name invalid")


def denied(message: str, http: int = 400) -> Refused:
    """The caller may not do that."""
    return Refused(403, "Unauthorized", "AccessDenied", message, http)


def too_large() -> Refused:
    """More bytes than the bucket or the server takes."""
    return Refused(413, "Payload too large", "EntityTooLarge", "The object exceeded the maximum allowed size")


def wrong_type(message: str) -> Refused:
    """A content type that is none, or that the bucket does not take."""
    return Refused(415, "invalid_mime_type", "InvalidMimeType", message)


def not_built(what: str) -> Refused:
    """The recorded server can do this; the stand-in cannot."""
    return Refused(501, "NotImplemented", "NotImplemented", f"{what} are not part of the native stack.", http=501)


def of_database(error: psycopg.Error, taken: str = "KeyAlreadyExists") -> Refused:
    """What a refusal of Postgres means to the caller; ``taken`` is the code for a name that is taken."""
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return denied("new row violates row-level security policy")
        case psycopg.errors.UniqueViolation():
            return Refused(409, "Duplicate", taken, "The resource already exists")
        case psycopg.errors.ForeignKeyViolation():
            return Refused(404, "InvalidRequest", "InvalidRequest", "The related resource does not exist")
        case psycopg.errors.InvalidParameterValue():
            return denied("The token's role is not known to the database.")
        case psycopg.DataError() | psycopg.errors.ProgramLimitExceeded() | psycopg.errors.RaiseException():
            return invalid("The database does not take this value.")
        case psycopg.OperationalError():
            return Refused(503, "Unavailable", "DatabaseError", "The database does not answer; try again.", http=503)
    return Refused(500, "Internal", "InternalError", "Internal server error", http=500)
