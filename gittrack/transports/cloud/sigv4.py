"""The signature that S3 wants on a request: version 4, in headers.

As AWS's reference for S3 says under "Authenticating Requests: Using the Authorization Header", with the whole body
hashed. obstore signs what it sends itself, but no request of ours: its `sign` takes no query."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from gittrack.transports.cloud.awsprofile import Keys


class Request(NamedTuple):
    """What is to be signed. path: as it is sent, percent-encoded; query: not encoded yet."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]

    @property
    def encoded_query(self) -> str:
        """The query as it is signed, and therefore sent."""
        return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(self.query.items()))


def headers(
    request: Request, keys: Keys, *, region: str, digest: str, now: datetime, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the headers that sign a request; digest: the SHA-256 of its body, as hex; more: headers to sign too."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": request.host, "x-amz-content-sha256": digest, "x-amz-date": stamp} | dict(more or {})
    if keys.token:
        signed["x-amz-security-token"] = keys.token
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            request.method,
            request.path,
            request.encoded_query,
            *(f"{name}:{signed[name].strip()}" for name in sorted(signed)),
            "",
            names,
            digest,
        ]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope},SignedHeaders={names},Signature={signature}"
    return signed | {"authorization": authorization}
