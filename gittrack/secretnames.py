"""Values that are secret because of the name they stand under: `password`, `WANDB_API_KEY`, `Authorization:`.

The words of machine learning are full of tokens and keys that are none. So a name counts by its last words only, what
a tokenizer calls a token is left alone, and numbers, booleans and references to a variable are never secrets."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterator

from gittrack.shapes import Span, lazy

_MIN_TOKEN = 8
_SHORTEST = 4
_LONG = 20
_VENDORS = (
    "open_?ai|anthropic|claude|wandb|hf|hugging_?face|azure|aws|gcp|google|gemini|cohere|mistral|groq|comet|neptune|"
    "pinecone|replicate|together|deepseek|stripe|twilio|sendgrid|mailgun|datadog|dd|new_?relic|sentry|serpapi|serper|"
    "tavily|exa|langchain|langsmith|langfuse|elevenlabs|deepgram|assemblyai|perplexity|fireworks|openrouter|xai|nvidia|"
    "ngc|kaggle|roboflow|clearml|dagshub|mlflow|supabase|algolia|cloudflare|github|gitlab|slack|discord|telegram|"
    "firebase|voyage|jina|zhipu|dashscope|moonshot|anyscale|runpod|lambda|modal|paperspace|vast|polygon|scale|labelbox|"
    "weaviate|qdrant|milvus|snowflake|databricks|heroku|digitalocean|linode|hetzner|vultr|tailscale|ngrok|netlify|npm|"
    "pypi|docker|shopify|paypal|square|plaid|coinbase|binance|kraken|alpaca|oanda|finnhub|quandl|weather|maps?|mapbox"
)
# Whatever stands under these names is a secret …
_STRONG = lazy(
    r"(?:passw(?:or)?d|passphrase|passcode|api_?key|api_?secret|api_?token|access_?token|auth_?token|refresh_?token|"
    r"csrf_?token|xsrf_?token|csrfmiddlewaretoken|bot_?token|secret_?key(?:_?base)?|private_?key|access_?key|"
    r"client_?secret|app_?secret|connection_?secret|sessid|sessionid|connect_sid|pgpass)$"
    r"|(?:^|_)(?:pw|pwd|secret|auth_?key|app_?key|account_?key|signing_?key|encrypt(?:ion)?_?key|decrypt(?:ion)?_?key|"
    r"master_?key|service_?(?:role_)?key|shared_?key|storage_?key|subscription_?key|license_?key|ssh_?key|deploy_?key|"
    r"hmac_?key|jwt_?key|fernet_?key|consumer_?key|session_?(?:key|cookie|token)|id_?token|security_?token|bearer|"
    r"bearer_?token|oauth_?token|personal_?access_?token|hub_?token|hf_?token|github_?token|gh_?token|gh_?pat|"
    r"gitlab_?token|npm_?token|login_?token|user_?token|deploy_?token|webhook_?secret|(?:http_|proxy_)?authorization|"
    r"shared_?access_?signature|recovery_?key|unseal_?key|seed_?phrase|mnemonic|root_?key|admin_?key|storepass|keypass|"
    rf"amz_signature|goog_signature|amz_security_token|(?:{_VENDORS})_?key)$"
)
_PASSWORD = lazy(r"(?:passw(?:or)?d|passphrase|passcode|(?:^|_)(?:pw|pwd|pass))$")
# … and under these only what is long enough for one, and no word of a tokenizer: `<|endoftext|>` is none.
_WEAK = lazy(r"(?:^|_)(?:token|credentials?|creds|pat|jwt|sas|cookie|passwords|secrets|api_?keys|access_?keys)$")
# Under these, what looks random.
_MAYBE = lazy(r"(?:^|_)(?:auth|pass|session_?id|sid|login)$")
_NOT = lazy(  # of a tokenizer or a vocabulary
    r"(?:^|_)(?:pad|eos|bos|cls|sep|mask|unk|num|n|max|min|image|img|audio|video|vision|speech|special|additional|start|"
    r"end|next|first|last|prev|add|added|decoder|forced|suppress|stop|new|per|total|prefix|suffix|middle|fim|boi|eoi|"
    r"boa|eoa|think|tool|call|prompt|trigger|placeholder|class|register|query|task|lang|language|word|sub|subword|char|"
    r"byte|object|time|timestamp|silence|blank|reserved|target|source|src|tgt|instance|concept|initializer|control|pool|"
    r"separator|turn|answer|question|response|begin|context|doc|document|global|local|memory|latent|motion|action|"
    r"state|reward|text|patch|mode|domain|style|speaker|sos|oov|of|this|each|by|the|a)_tokens?$"
)
_QUALIFIED = lazy(
    r"^(?:use|has|is|requires?|needs?|no|with|num|n|max|min|len|count|total|avg|mean|save|show|enable|disable|allow|skip|"
    r"ask|forgot|reset|change|invalid|wrong|missing|empty|incorrect|bad|expired)_"
)
_SUFFIX = lazy(
    r"_?(?:[0-9]{1,3}|prod|production|dev|development|staging|live|old|new|primary|secondary|b64|base64|value|plaintext)$"
)
_CAMEL = lazy(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER = lazy(r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_WORD = frozenset(
    (
        "true false yes no on off none null nan inf auto default required optional string str text prompt enabled "
        "disabled missing invalid incorrect unknown empty hidden redacted expired valid wrong correct ok set unset not "
        "is was the for and must may changeme changed password passwd secret token key file env bytes int float bool"
    ).split()
)
_REFERENCE = lazy(
    r"[*.]+|[xX•-]{3,}|<.*>|\[.*\]|\$\{?\{?[^}]*\}{0,2}|\{.*\}|%\(?\w*\)?s?|\$\(.*\)|(?:os\.)?(?:environ|getenv|getpass)\b.*|"
    r"(?:env|vault|op|secret|ref|file|keyring|ssm|arn|oc\.env|oc\.decode)[:.].*|(?:\||<\|).*(?:\||\|>)",
    re.DOTALL,
)
_PATH = lazy(
    r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w. -]+){1,20}[/\\]?|[\w-]+\.(?:json|ya?ml|toml|txt|pem|key|pub|env|ini|cfg)"
)
_UUID = lazy(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


_NAME_STEMS = (
    "pass pw secret token key auth cred cookie sess sid bearer jwt sas mnemonic phrase signature pat login".split()
)


@functools.lru_cache(maxsize=4096)
def _kind(name: str) -> str:
    """Returns what a name says: `password`, `strong`, `weak`, `maybe`, or nothing."""
    low = name.lower()
    if not any(stem in low for stem in _NAME_STEMS):
        return ""
    words = re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", name[-200:]).lower()).strip("_")
    for found in (words, _SUFFIX.sub("", words)):
        if not found or _NOT.search(found):
            return ""
        if _PASSWORD.search(found) and not found.endswith("_pass") and found != "pass":
            kind = "password"
        elif _STRONG.search(found):
            kind = "strong"
        elif _WEAK.search(found):
            kind = "weak"
        elif _MAYBE.search(found):
            kind = "maybe"
        else:
            continue
        return "maybe" if _QUALIFIED.search(found) else kind
    return ""


def _is_reference(value: str) -> bool:
    """Tells whether a value only says where the secret is, or that there is none."""
    if value.lower().strip(".!?()[];") in _WORD or _REFERENCE.fullmatch(value):
        return True
    if re.fullmatch(r"[A-Za-z_][A-Za-z_.]*", value) and ("_" in value or "." in value) and _kind(value):
        return True  # `args.password`, `WANDB_API_KEY`
    if re.fullmatch(r"[A-Za-z0-9+/]{40}", value):
        return False  # a key of AWS may have slashes
    return bool(_PATH.fullmatch(value)) and not any(map(_is_random, re.split(r"[/\\]", value)))


def _is_random(value: str) -> bool:
    """Tells whether a value looks drawn rather than written: long, with digits among its letters."""
    if len(value) < _MIN_TOKEN or any(char.isspace() for char in value):
        return False
    return bool(re.search(r"[0-9]", value) and re.search(r"[A-Za-z]", value) and not _UUID.fullmatch(value))


def is_secret(name: str, value: str) -> bool:
    """Tells whether the value of an option or param of this name is a secret."""
    kind = _kind(name)
    if not kind or not value or value.isspace():
        return False
    if _NUMBER.fullmatch(value):
        return kind == "password" and value.isdigit() and len(value) >= 6
    if _is_reference(value):
        return False
    if kind in ("password", "strong"):
        return True
    if kind == "maybe":
        return _is_random(value)
    return len(value) >= _MIN_TOKEN and not re.search(r"\s", value)


# In a text ----------------------------------------------------------------------------------------------------------

_STEMS = (
    b"pass pwd pw secret token key auth cred cookie sess sid bearer jwt sas mnemonic phrase signature pat creds".split()
)
_ASSIGNED = lazy(
    rb"(?:pass|pwd|pw|secret|token|key|auth|cred|cookie|sess|sid|bearer|jwt|sas|mnemonic|phrase|signature|pat)"
    rb"[a-z0-9_-]{0,20}+(?: provided)?"
    rb"(?:\\{0,3}[\"'`]|[\])]|&quot;){0,4}+[ \t]{0,8}+"
    rb"(?:(?::[ \t]{0,4}(?:str|optional\[str\]|str \| none)[ \t]{0,4})?(?:=>|:=|={1,3}|:(?!//))|(?<=[\"'`]),|>)"
    rb"[ \t]{0,8}+"
    rb"(?![-+]?\.?[0-9]{1,12}\.?[0-9]{0,12}(?:e[-+]?[0-9]{1,4})?(?:[\s,;)\]}\"'%]|$))(?!(?:true|false|none|null)(?!\w))"
    rb"(?=[^\s]{4})"
)
_NAME_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_NAME = lazy(rb"[A-Za-z0-9_.-]{1,60}")
_ESCAPE = lazy(rb"[\[;][0-9]{0,3}m|\\[nrt]")  # the end of a colour, or of a line in JSON
_TWO_WORDS = lazy(rb"(?:api|access|secret|private|auth|client|account|storage|subscription|license|master|session)$")
_SCHEME = lazy(rb"(?:bearer|basic|token|digest|negotiate|apikey|bot|key|aws4-hmac-sha256)[ \t]+", re.IGNORECASE)
_OPEN = lazy(rb"(?:[rubf]{1,2}(?=[\"'\\]))?(\\{0,3}[\"'`]|&quot;)", re.IGNORECASE)
_BARE = lazy(rb"[^\s\"'`,;<>&|)}\]\\]{1,4000}")
_LINE = lazy(rb"[^\r\n\"']{1,4000}")
_MAX_VALUE = 4000


def find(data: bytes) -> Iterator[Span]:
    """Yields the values of a text that stand under the name of a secret: assignments, headers, options, queries."""
    low = data.lower()
    if any(stem in low for stem in _STEMS):
        yield from _assignments(data, low)
    if b"?" in low or b"&" in low:
        for found in _QUERY.finditer(low):
            yield Span(found.start(1), found.end(1), "a secret in an address")
    for pattern, needle in _PHRASES:
        if needle in low:
            for found in pattern.finditer(data):
                yield Span(found.start(1), found.end(1), "a secret")
    if b"basic " in low:
        yield from (Span(*found.span(1), "a password") for found in _BASIC.finditer(data) if _is_pair(found[1]))


_QUERY = lazy(
    rb"[?&](?:amp;)?(?:sig|signature|key|token|code|x-amz-credential|awsaccesskeyid|googleaccessid|[a-z_-]{0,30}(?:token|"
    rb"signature|secret|password|passwd|api_?key))=(?!\*\*\*)([a-z0-9%+/=._~-]{8,4000}+)"
)
_PHRASES = (
    (lazy(rb"(?i:bearer)[ \t]+(?=[\w.~+/=-]{0,200}?[0-9])([\w.~+/=-]{16,4000}+)"), b"bearer "),
    (lazy(rb"wandb(?:\.login\((?:key[ ]?=[ ]?)?[\"']|[ ]login[ ]+(?:--relogin[ ]+)?)([\w-]{20,200})"), b"wandb"),
    (
        lazy(
            rb"machine[ \t\r\n]+[\w.:-]{1,200}[ \t\r\n]+login[ \t\r\n]+\S{1,200}[ \t\r\n]+password[ \t\r\n]+(\S{1,400})"
        ),
        b"machine",
    ),
    (lazy(rb"jdbc:oracle:\w{1,9}:[\w.-]{1,80}/([^\s@\"']{1,200})@"), b"jdbc:oracle"),
    (
        lazy(rb"(?:identified[ ]by|with[ ]password|encrypted[ ]password)[ ]+'([^'\n]{3,200})'", re.IGNORECASE),
        b" by '",
    ),
    (lazy(rb"(?:with|encrypted)[ ]password[ ]+'([^'\n]{3,200})'", re.IGNORECASE), b"password '"),
    (
        lazy(
            rb"(?i:set-cookie|cookie)\\{0,3}[\"']?[ ]?:[ ]?\\{0,3}[\"']?"
            rb"((?:[\w.-]{1,80}=[^\s;\"'\\]{1,4000};?[ ]?){1,50})"
        ),
        b"cookie",
    ),
)
_BASIC = lazy(rb"(?i:basic)[ \t]+([A-Za-z0-9+/]{6,1000}={0,2})")


def _is_pair(word: bytes) -> bool:
    """Tells whether a word is `user:password` in base 64."""
    try:
        plain = base64.b64decode(word + b"=" * (-len(word) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in plain and plain.isascii() and all(byte >= 32 for byte in plain)


def _assignments(data: bytes, low: bytes) -> Iterator[Span]:
    at = 0
    while found := _ASSIGNED.search(low, at):
        at = found.end()
        above = data[max(0, found.start() - 60) : found.start()]
        front = above[len(above.rstrip(_NAME_BYTES)) :]
        escape = _ESCAPE.match(above, max(0, len(above) - len(front) - 1))
        front = above[escape.end() :] if escape else front
        stem = _NAME.match(data, found.start())
        name = (front + stem[0] if stem else front).decode("latin-1")
        if above.endswith((b" ", b"-")) and not front.strip(b"-"):  # "API key: …"
            two = _TWO_WORDS.search(above[:-1].lower())
            name = f"{two[0].decode()}_{name}" if two else name
        kind = _kind(name)
        if not kind:
            continue
        separator = data[found.start() + len(stem[0]) if stem else at : at].strip()
        if (
            separator.endswith(b">")
            and not separator.endswith(b"=>")
            and above[len(above) - len(front) - 1 :][:1] != b"<"
        ):
            continue
        opened = _OPEN.match(data, at)
        start = opened.end() if opened else at
        if name.lower().endswith("authorization"):
            scheme = _SCHEME.match(data, start)
            start = scheme.end() if scheme else start
        end = _end_of_value(data, start, opened[1] if opened else None)
        if end - start >= _SHORTEST:
            value = data[start:end].decode("utf-8", "replace")
            called = opened is None and data[end : end + 1] in (b"(", b"[")  # `token=read()` is no secret
            if not called and _is_assigned(kind, value, opened is not None, separator.endswith(b",")):
                yield Span(start, end, "a password" if kind == "password" else "a secret")
        at = max(at, end)


def _end_of_value(data: bytes, start: int, quote: bytes | None) -> int:
    if quote is not None:
        end = data.find(quote, start, start + _MAX_VALUE)
        if end >= 0:
            return end
        line = _LINE.match(data, start)
        return line.end() if line else start
    bare = _BARE.match(data, start)
    return bare.end() if bare else start


@functools.lru_cache(maxsize=4096)
def _is_assigned(kind: str, value: str, quoted: bool, listed: bool) -> bool:  # noqa: FBT001 - a cache's key
    """Tells whether a value in a text is a secret; a text is no place to be generous with words."""
    if listed or kind == "maybe":
        return _is_random(value) and not _is_reference(value)
    if (
        kind == "weak"
        and not _is_random(value)
        and not (quoted and len(value) >= _LONG and not re.search(r"\s", value))
    ):
        return False
    return not _NUMBER.fullmatch(value) and not _is_reference(value)
