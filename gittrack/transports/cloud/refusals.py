"""What a cloud's refusals mean, in one line each.

obstore's errors hold the whole answer and a dump of its own state, addresses included; a bucket answers with XML.
Of both only the status and the code are looked at, which S3, GCS and Azure name in their references of errors, and
nothing is repeated but the name of a region."""

from __future__ import annotations

import re
from typing import NamedTuple

from gittrack.errors import GittrackError
from gittrack.transports.cloud.bucket import Place
from gittrack.transports.protocol import NotThere, TransportError

GONE = "what was sent so far is gone there"
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z][A-Za-z0-9.]{1,63})\s*</Code>")
_REGION = re.compile(r"<Region>\s*([a-z0-9-]{2,32})\s*</Region>|expecting '([a-z0-9-]{2,32})'")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "AccountNotFound", "ContainerBeingDeleted"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_LATER = {
    *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ServerBusy", "OperationTimedOut"),
    *("OperationAborted", "NoSuchUpload", "InvalidPart"),
}
_WORDS = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "AuthenticationFailed": "the credentials are not accepted",
    "AuthorizationFailure": "the credentials are not accepted",
    "InvalidAuthenticationInfo": "the credentials are not accepted",
    "ExpiredToken": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "InvalidToken": "the session token is not accepted",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "RequestExpired": "the clock of this machine is wrong",
    "AccountProblem": "the account is suspended",
    "QuotaExceeded": "there is no room left",
    "EntityTooLarge": "the file is too large for it",
    "InsufficientAccountPermissions": "the credentials may not do this",
    "AuthorizationPermissionMismatch": "the credentials may not do this",
    "AccessDenied": "the credentials may not do this",
    "InvalidObjectState": "it was moved to an archive that has to be asked to bring it back",
    "BlobArchived": "it was moved to an archive that has to be asked to bring it back",
}
_NEEDS = {
    ("S3", "read"): "it takes s3:GetObject, and s3:ListBucket to be told what is missing",
    ("S3", "write to"): "it takes s3:PutObject and s3:AbortMultipartUpload",
    ("S3", "list"): "it takes s3:ListBucket",
    ("S3", "delete from"): "it takes s3:DeleteObject",
    ("GCS", "read"): "it takes the role Storage Object Viewer",
    ("GCS", "list"): "it takes the role Storage Object Viewer",
    ("Azure", "read"): "it takes the role Storage Blob Data Reader",
    ("Azure", "list"): "it takes the role Storage Blob Data Reader",
}
_USUAL = {
    "GCS": "it takes the role Storage Object User",
    "Azure": "it takes the role Storage Blob Data Contributor",
}


_OF_MACHINE = re.compile(r"http://169\.254\.|/latest/(?:api/token|meta-data/)")
# What obstore's dump of an error has in it, and `s3parts` says.
_SIGNS = {
    "dns error": "its host is not known",
    "TimedOut": "it stopped answering",
    "ConnectionRefused": "nothing answers at its address",
    "tcp connect error": "nothing answers at its address",
}


class Answer(NamedTuple):
    """What is known of a request that failed: the status, or 0 if there was no answer; the code, or ''; and the rest.

    text: what was said; inner: how the library came to say so. Neither is ever printed."""

    status: int
    code: str
    text: str
    inner: str = ""


def answer_of(exc: BaseException) -> Answer:
    """Returns what an error of obstore says."""
    text, _, inner = str(exc).partition("\n\nDebug source")
    status = _STATUS.search(text)
    return Answer(int(status[1]) if status else 0, code_in(text), text, inner)


def code_in(text: str) -> str:
    """Returns the code in an answer of a cloud, or ''."""
    found = _CODE.search(text)
    return found[1] if found else ""


def is_no_bucket(answer: Answer) -> bool:
    """Tells whether an answer says that the bucket itself is not there."""
    return answer.code in _NO_BUCKET


def failed(where: Place, what: str, answer: Answer) -> GittrackError:
    """Returns the error for a request that failed; what: `read`, `write to`, `list` or `delete from`."""
    message = f"cannot {what} '{where.label}'"
    if is_no_bucket(answer):
        noun = "container" if where.cloud == "Azure" else "bucket"
        return TransportError(message, cause=f"there is no {noun} '{where.bucket}'", hint=f"make the {noun} first")
    if not answer.code and _is_of_credentials(answer):
        return _no_credentials(where, message)
    if answer.code in _ELSEWHERE or answer.status == 301 or "without LOCATION" in answer.text:
        region = _REGION.search(answer.text)
        name = (region[1] or region[2]) if region else "REGION"
        return TransportError(
            message, cause=f"bucket '{where.bucket}' is in another region", hint=f"set AWS_REGION={name}"
        )
    is_fault = answer.status >= 500 and answer.status != 501  # which says that it never will
    if answer.code in _LATER or answer.status in (408, 429) or is_fault:
        return TransportError(message, cause=_later(answer), passing=True)
    if answer.code in _WORDS or answer.status in (401, 403):
        cause = _WORDS.get(answer.code) or "the credentials are not accepted, or may not do this"
        is_right = answer.code in ("", "AccessDenied", "AuthorizationPermissionMismatch")
        need = _NEEDS.get((where.cloud, what)) or _USUAL.get(where.cloud)
        return TransportError(message, cause=cause, hint=need if is_right else None)
    if answer.status == 404:
        return NotThere(message, cause="it is not there")
    if answer.status:
        code = f" ({answer.code})" if answer.code else ""
        return TransportError(message, cause=f"it answered with status {answer.status}{code}")
    return _unanswered(message, answer.inner)


def _later(answer: Answer) -> str:
    if answer.code in ("NoSuchUpload", "InvalidPart"):
        return GONE
    if answer.code in ("SlowDown", "ServerBusy") or answer.status in (429, 503):
        return "it asks to be asked less often"
    return f"it answered with status {answer.status}" if answer.status else "it has a fault of its own"


def _is_of_credentials(answer: Answer) -> bool:
    """Tells whether not the bucket was asked, but the machine or another service, for something to sign with."""
    return "token request" in answer.text or _OF_MACHINE.search(answer.text) is not None


def _no_credentials(where: Place, message: str) -> TransportError:
    hint = {
        "GCS": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS names a key file",
        "Azure": "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING",
    }.get(where.cloud, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
    return TransportError(message, cause=f"there are no credentials for {where.cloud}", hint=hint)


def _unanswered(message: str, inner: str) -> TransportError:
    """Returns the error for what got no answer."""
    if "BadScheme" in inner:
        return TransportError(message, cause="its address is not encrypted", hint="write https:// before it")
    if "ertificate" in inner or "UnknownIssuer" in inner:
        return TransportError(
            message, cause="its certificate is not trusted here", hint="AWS_CA_BUNDLE names a file with the right one"
        )
    words = next((words for sign, words in _SIGNS.items() if sign in inner), None)
    cause = words or "the line broke, or what came was no answer of such a store"
    return TransportError(message, cause=cause, passing=True)
