"""Where a bucket is, and what opens it: an address and the environment become stores of obstore.

Credentials come from where the tools of each cloud take them. obstore reads the environment and asks the machine it
runs on; what it leaves out is read here: the profiles of AWS, and the names that Azure's own command line uses."""

from __future__ import annotations

import importlib
import re
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from gittrack.errors import NotInstalled, UsageError
from gittrack.transports.cloud import awsprofile
from gittrack.transports.cloud.awsprofile import Keys
from gittrack.transports.protocol import TransportError

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

_CLOUDS = {
    "s3": "S3",
    "gs": "GCS",
    "az": "Azure",
    "azure": "Azure",
    "abfs": "Azure",
    "abfss": "Azure",
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_HOST = re.compile(r"([a-z0-9]{3,24})\.(?:dfs|blob)\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)")
_CONNECT = timedelta(seconds=5)
_SILENCE = timedelta(seconds=60)  # after which a server that says nothing has stalled
_REQUEST = timedelta(minutes=10)  # for one part: 8 MiB at 14 kB/s
_RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}
_METADATA = "169.254.169.254"
# What these ask for, obstore adds to its requests and `s3parts` does not.
_ONLY_OBSTORE = (
    *("AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_KMS_KEY_ID", "AWS_SSE_BUCKET_KEY_ENABLED", "AWS_SSE_CUSTOMER_KEY_BASE64"),
    *("AWS_REQUEST_PAYER", "AWS_S3_EXPRESS", "AWS_CHECKSUM_ALGORITHM", "AWS_SKIP_SIGNATURE"),
    *("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)


class Place(NamedTuple):
    """Where payloads lie: a cloud (`S3`, `GCS`, `Azure`), a bucket or container, and what their names begin with.

    prefix: '' or a path that ends with `/`; account: of Azure, if the address names it."""

    cloud: str
    bucket: str
    prefix: str
    account: str | None
    label: str


class Opened(NamedTuple):
    """A bucket that can be spoken to: `reads` gives up when it hears nothing, `writes` when a request takes too long.

    keys: what S3 requests are signed with, if requests of our own can be sent; trust: a file of certificates."""

    reads: S3Store | GCSStore | AzureStore
    writes: S3Store | GCSStore | AzureStore
    keys: Callable[[], Keys] | None = None
    trust: str | None = None


def place(url: str) -> Place:
    """Returns what an address says; raises UsageError for one that is none.

    `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, and
    `abfss://container@account.dfs.core.windows.net/prefix` as Azure's own tools write it."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    cloud = _CLOUDS[scheme]
    bucket, at, host = authority.partition("@")
    account = None
    if at:
        found = _HOST.fullmatch(host)
        if cloud != "Azure" or not found:
            # What stands before an `@` may be a password, and is not repeated.
            raise UsageError(
                f"the address of a store on {cloud} names no user",
                hint="credentials come from the environment; see 'Keep artifacts in a bucket' in the documentation",
            )
        account = found[1]
    parts = [part for part in path.split("/") if part]
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"'{scheme}://{bucket}' names no bucket", hint=f"write {scheme}://BUCKET/PREFIX")
    if any(part in (".", "..") or not part.isprintable() for part in parts):
        raise UsageError(f"'{scheme}://{bucket}/…' has a part that no name can have")
    prefix = "".join(f"{part}/" for part in parts)
    return Place(cloud, bucket, prefix, account, f"{scheme}://{authority}/{prefix}".rstrip("/"))


def library(where: Place) -> Any:
    """Returns what obstore has for clouds; raises NotInstalled."""
    try:
        return importlib.import_module("obstore.store")
    except ImportError as exc:
        raise NotInstalled(
            f"'{where.label}' needs obstore, which is not installed",
            cause=str(exc),
            hint="pip install 'gittrack[cloud]'",
        ) from exc


def open_bucket(where: Place, environ: Mapping[str, str]) -> Opened:
    """Returns the stores for a place; nothing is asked of it yet.

    Raises UsageError for settings that make no sense, and TransportError if there is nothing to sign requests with."""
    kinds = library(where)
    if where.cloud == "S3":
        return _s3(kinds.S3Store, where, environ)
    if where.cloud == "GCS":
        said = {"base_url": environ.get("GOOGLE_BASE_URL"), "bearer_token": environ.get("GOOGLE_BEARER_TOKEN")}
        config = {"bucket": where.bucket} | {key: text for key, text in said.items() if text}
        return _both(kinds.GCSStore, config, environ, endpoint=said["base_url"])
    config = _azure(where, environ)
    return _both(kinds.AzureStore, config, environ, endpoint=config.get("endpoint"))


def _both(
    kind: Callable[..., Any],
    config: dict[str, Any],
    environ: Mapping[str, str],
    *,
    endpoint: str | None,
    credentials: Callable[[], Any] | None = None,
) -> Opened:
    """Returns stores that differ in their patience. Plain http only where the user wrote it."""
    if endpoint and not re.match(r"https?://[^/@]+(/|$)", endpoint, re.IGNORECASE):  # obstore panics
        raise UsageError(
            "the endpoint that is set for the cloud is no address of a server",
            hint="write it as https://HOST, or http://HOST if nothing may be encrypted",
        )
    common: dict[str, Any] = {
        "connect_timeout": _CONNECT,
        "allow_http": bool(endpoint and endpoint.lower().startswith("http://")),
    }
    trust = environ.get("AWS_CA_BUNDLE")
    if trust:
        common["root_certificate"] = _certificates(trust)
    # Of one request, the first limits the silences, the second the whole, in which nobody answers until the end.
    patient = {"timeout": timedelta(days=7), "read_timeout": _SILENCE} | common
    brief = {"timeout": _REQUEST} | common
    extra = {"credential_provider": credentials} if credentials else {}
    try:
        return Opened(
            kind(config=config, client_options=patient, retry_config=_RETRIES, **extra),
            kind(config=config, client_options=brief, retry_config=_RETRIES, **extra),
            trust=trust,
        )
    except Exception as exc:
        # What obstore says here quotes settings, of which one may be a key.
        raise UsageError(
            "the settings of the cloud make no sense",
            hint="look at the environment variables and files that hold its address, region and keys",
        ) from exc


def _certificates(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise UsageError(f"AWS_CA_BUNDLE is '{path}', which cannot be read", cause=exc.strerror) from exc


# S3 -----------------------------------------------------------------------------------------------------------------


def _s3(kind: Callable[..., Any], where: Place, environ: Mapping[str, str]) -> Opened:
    profile = awsprofile.read(environ)
    endpoint = (
        environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
    ) or profile.endpoint
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.region
    # One at a time: the bulk request is what S3-compatible servers lack most often.
    config: dict[str, Any] = {"bucket": where.bucket, "disable_bulk_delete": True}
    config |= {"endpoint": endpoint} if endpoint else {}
    config |= {"region": region} if region else {}
    keys = awsprofile.of_environment(environ) or (None if _has_web_identity(environ) else profile.keys)
    if keys is None:
        if not _has_other(environ):
            raise _nothing_to_sign_with(where, profile)
        return _both(kind, config, environ, endpoint=endpoint)

    keys()  # what gives none says so here, and not in the words of obstore

    def credentials() -> dict[str, Any]:
        found = keys()
        return {
            "access_key_id": found.access,
            "secret_access_key": found.secret,
            "token": found.token,
            "expires_at": found.expires,
        }

    opened = _both(kind, config, environ, endpoint=endpoint, credentials=credentials)
    return opened if any(environ.get(name) for name in _ONLY_OBSTORE) else opened._replace(keys=keys)


def _has_web_identity(environ: Mapping[str, str]) -> bool:
    return "AWS_WEB_IDENTITY_TOKEN_FILE" in environ and "AWS_ROLE_ARN" in environ


def _has_other(environ: Mapping[str, str]) -> bool:
    """Tells whether something else than a key opens S3: none that is needed, a role, a container, or the machine."""
    if _is_true(environ.get("AWS_SKIP_SIGNATURE")) or _has_web_identity(environ):
        return True
    if any(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI" in environ for kind in ("RELATIVE", "FULL")):
        return True
    if _is_true(environ.get("AWS_EC2_METADATA_DISABLED")):
        return False
    # obstore would ask a machine that is no virtual one three times, five seconds each.
    found = urlsplit(environ.get("AWS_METADATA_ENDPOINT") or f"http://{_METADATA}")
    return _answers(found.hostname or _METADATA, found.port or 80)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1.0).close()
    except OSError:
        return False
    return True


def _nothing_to_sign_with(where: Place, profile: awsprofile.Profile) -> TransportError:
    """Returns the error for a user without any credentials."""
    if profile.lacks:
        return TransportError(
            f"cannot open '{where.label}'",
            cause=f"profile '{profile.name}' of AWS is of a kind that is not read here: {profile.lacks}",
            hint="give it a line `credential_process = aws configure export-credentials --profile "
            f"{profile.name} --format process` under another name, and set AWS_PROFILE to that",
        )
    return TransportError(
        f"cannot open '{where.label}'",
        cause="there are no credentials for S3",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    )


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")


# Azure --------------------------------------------------------------------------------------------------------------


def _azure(where: Place, environ: Mapping[str, str]) -> dict[str, Any]:
    """Returns the settings that obstore does not find by itself; raises TransportError without an account."""
    said = dict(
        part.split("=", 1) for part in environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";") if "=" in part
    )
    account = (
        where.account
        or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        or environ.get("AZURE_STORAGE_ACCOUNT")
        or said.get("AccountName")
    )
    if not account:
        raise TransportError(
            f"cannot open '{where.label}'",
            cause="it is not said whose container this is",
            hint="set AZURE_STORAGE_ACCOUNT, or AZURE_STORAGE_CONNECTION_STRING",
        )
    found = {
        "endpoint": environ.get("AZURE_STORAGE_ENDPOINT") or environ.get("AZURE_ENDPOINT") or said.get("BlobEndpoint"),
        "account_key": environ.get("AZURE_STORAGE_KEY") or said.get("AccountKey"),
        "sas_key": said.get("SharedAccessSignature"),
    }
    if not found["endpoint"] and said.get("EndpointSuffix"):
        scheme = said.get("DefaultEndpointsProtocol", "https")
        found["endpoint"] = f"{scheme}://{account}.blob.{said['EndpointSuffix']}"
    return {"container_name": where.bucket, "account_name": account} | {
        key: text for key, text in found.items() if text
    }
