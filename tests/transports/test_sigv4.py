"""Signatures: those that AWS's reference for S3 works out, byte for byte."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from gittrack.transports.cloud import sigv4
from gittrack.transports.cloud.awsprofile import Keys

HOST = "examplebucket.s3.amazonaws.com"
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("request_", "body", "more", "signature"),
    [
        (
            sigv4.Request("GET", HOST, "/test.txt", {}),
            b"",
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            sigv4.Request("PUT", HOST, "/test%24file.text", {}),
            b"Welcome to Amazon S3.",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            sigv4.Request("GET", HOST, "/", {"lifecycle": ""}),
            b"",
            {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            sigv4.Request("GET", HOST, "/", {"prefix": "J", "max-keys": "2"}),
            b"",
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_the_reference_are_signed_as_it_says(
    request_: sigv4.Request, body: bytes, more: dict[str, str], signature: str
) -> None:
    digest = hashlib.sha256(body).hexdigest()
    found = sigv4.headers(request_, KEYS, region="us-east-1", digest=digest, now=NOW, more=more)
    names = ";".join(sorted({"host", "x-amz-content-sha256", "x-amz-date", *more}))
    assert found["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )


def test_a_session_token_is_sent_and_signed() -> None:
    request = sigv4.Request("GET", HOST, "/", {})
    plain = sigv4.headers(request, KEYS, region="us-east-1", digest=NOTHING, now=NOW)
    found = sigv4.headers(request, KEYS._replace(token="session"), region="us-east-1", digest=NOTHING, now=NOW)
    assert found["x-amz-security-token"] == "session"
    assert ";x-amz-security-token," in found["authorization"]
    assert found["authorization"] != plain["authorization"]


def test_a_query_is_sent_as_it_is_signed() -> None:
    query = {"uploadId": "a/b+c=~é", "partNumber": "10"}
    assert sigv4.Request("PUT", HOST, "/", query).encoded_query == "partNumber=10&uploadId=a%2Fb%2Bc%3D~%C3%A9"
