"""Tokens that are known by their shape, whoever prints them and under whatever name.

Most services begin their tokens with a few letters of their own. Looking for those letters is one `in` each, and only
the pattern of one that is there is compiled and run; so clean text costs next to nothing, and hostile text stays
linear: every pattern begins with its letters, and none goes back over what it has read."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, AnyStr, NamedTuple, cast


class Span(NamedTuple):
    """Where a secret stands in some bytes, and what it looks like."""

    start: int
    end: int
    what: str


class _Lazy:
    """A regular expression that is compiled when it is first used: fifty take 10 ms, and most runs need few."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._compile = functools.partial(re.compile, source, flags)

    def __getattr__(self, name: str) -> Any:
        compiled = self._compile()
        for method in ("search", "match", "fullmatch", "finditer", "sub"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Returns a pattern that is compiled when it is first used."""
    return cast("re.Pattern[AnyStr]", _Lazy(source, flags))


# What it is | how it begins (one or more) | how it goes on. In front of the pattern `!`: only if a digit and a letter
# are in it; `?`: only if it has a long part with both; `<n`: it begins no word, and n bytes before belong to it.
_TABLE = r"""
a GitHub token | ghp_ gho_ ghu_ ghs_ ghr_ | [A-Za-z0-9]{20,}+
a GitHub token | github_pat_ | [A-Za-z0-9_]{20,}+
a GitLab token | glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- | [\w=-](?:[\w=-]|\.(?=\w)){15,}+
a GitLab token | glagent- gloas- glsoat- glffct- glwt- | [\w=-]{16,}+
a GitLab token | GR1348941 | [\w-]{20,}+
a Hugging Face token | hf_ api_org_ | [A-Za-z0-9]{24,}+
an Anthropic key | sk-ant- | [\w-]{20,}+
an OpenAI key | sk-proj- sk-svcacct- sk-service- sk-admin- | [\w-]{20,}+
an API key | sk-or-v1- sk-lf- pk-lf- sk-helicone- sk-kimi- | [\w-]{20,}+
an API key | sk- | ?[\w-]{16,}+
a W&B key | wandb_v1_ | [\w-]{30,}+
a W&B key | local- | [0-9a-f]{40}(?![0-9a-zA-Z])
a Neptune token | eyJhcGlfYWRkcmVzcyI6 eyJhcGlfdXJsIjoi | [\w+/=-]{10,}+
a Groq key | gsk_ | [A-Za-z0-9]{30,}+
an xAI key | xai- | [\w]{40,}+
a Replicate token | r8_ | [A-Za-z0-9]{30,}+
a LangSmith key | lsv2_pt_ lsv2_sk_ ls__ | [0-9a-f]{32}\w*+
a Pinecone key | pcsk_ | [A-Za-z0-9_]{40,}+
a Perplexity key | pplx- | [A-Za-z0-9]{32,}+
an NVIDIA key | nvapi- | [\w-]{40,}+
a Together key | tgp_v1_ | [\w-]{30,}+
a Cerebras key | csk- | ![A-Za-z0-9]{32,}+
a Tavily key | tvly- | ![\w-]{20,}+
a Jina key | jina_ | ![A-Za-z0-9_-]{40,}+
a Voyage key | pa- | ![\w-]{40,}+
a Fireworks key | fw_ | ![A-Za-z0-9]{22,}+
a Firecrawl key | fc- | [0-9a-f]{32}(?!\w)
an E2B key | e2b_ | [0-9a-f]{40}(?!\w)
an ElevenLabs key | sk_ | [0-9a-f]{40,}+(?!\w)
an Anyscale key | esecret_ aph0_ | [A-Za-z0-9_-]{20,}+
a Modal key | ak- as- | (?=[a-z0-9]*[A-Z])(?=[a-zA-Z]*[0-9])[A-Za-z0-9]{20,30}(?![\w-])
a Kaggle token | KGAT_ | [A-Za-z0-9]{24,}+
a RunPod key | rpa_ | ![A-Za-z0-9]{36,}+
a Prefect key | pnu_ pnb_ | [A-Za-z0-9]{32,}+
an AWS key | AKIA ASIA ABIA ACCA | [A-Z0-9]{16}(?![A-Za-z0-9])
an AWS Bedrock key | ABSK | [A-Za-z0-9+/]{60,}+=*
an AWS Bedrock key | bedrock-api-key- | [A-Za-z0-9+/=]{20,}+
a Google API key | AIza | [\w-]{33,}+
a Google token | ya29. | [\w.-]{20,}+
a Google client secret | GOCSPX- | [\w-]{20,}+
a Google refresh token | 1//0 | ![\w-]{30,}+
a Google HMAC key | GOOG1E | [A-Z0-9]{20,}+
an Azure client secret | Q~ | <4(?<=[\w~.]{3}[0-9]Q~)[\w~.-]{30,}+
an Azure key | JQQJ99 | <52(?<=[A-Za-z0-9]{52}JQQJ99)[A-Za-z0-9]{20,}+
an Azure DevOps token | AZDO | <76(?<=[A-Za-z0-9]{76}AZDO)[A-Za-z0-9]{4}(?![A-Za-z0-9])
a Slack token | xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxo- xoxc- xoxd- xapp- | [A-Za-z0-9%/+=-]{11,}+
a Slack webhook | hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/ | [\w/]{20,}+
a Discord webhook | discord.com/api/webhooks/ discordapp.com/api/webhooks/ | [0-9]{8,}+/[\w-]{20,}+
a Teams webhook | .webhook.office.com/webhookb2/ | <0[\w@/-]{40,}+
a Zapier webhook | hooks.zapier.com/hooks/catch/ | [\w/]{10,}+
a Stripe key | sk_live_ rk_live_ sk_test_ rk_test_ sk_prod_ | [A-Za-z0-9_]{16,}+
a webhook secret | whsec_ | [\w+/=-]{20,}+
a Twilio key | SK | [0-9a-f]{32}(?![0-9A-Za-z])
a SendGrid key | SG. | [\w-]{16,32}\.[\w-]{30,}+
a Mailgun key | key- | [0-9a-z]{32}(?!\w)
a Mailchimp key | -us | <32(?<=[0-9a-f]{32}-us)[0-9]{1,2}(?!\w)
a Brevo key | xkeysib- xsmtpsib- | [\w-]{40,}+
an npm token | npm_ | [A-Za-z0-9]{30,}+
a PyPI token | pypi-Ag | [\w-]{30,}+
a PyPI token | pypi- | ![\w-]{40,}+
a RubyGems key | rubygems_ | [0-9a-f]{40,}+
a crates.io token | cio | (?=[a-z0-9]*[A-Z])(?=[a-zA-Z]*[0-9])[A-Za-z0-9]{32}(?!\w)
a NuGet key | oy2 | ![a-z0-9]{43}(?!\w)
a Clojars token | CLOJARS_ | [0-9a-fA-F]{50,}+
an Artifactory key | AKCp cmVmdGtu | [A-Za-z0-9]{50,}+
a Docker token | dckr_pat_ dckr_oat_ | [\w-]{20,}+
a DigitalOcean token | dop_v1_ doo_v1_ dor_v1_ | [0-9a-f]{40,}+
a Databricks token | dapi dose dkea | [0-9a-f]{32}(?:-[0-9])?(?!\w)
a Cloudflare token | cfut_ cfat_ cfk_ | [A-Za-z0-9]{40,}+
a Cloudflare key | v1.0- | [0-9a-f]{24}-[0-9a-f]{100,}+
a Vault token | hvs. hvb. hvr. | [\w-]{20,}+
a Vault token | s. b. | (?=[A-Za-z0-9]*?[0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{24}(?![\w.(=-])
a Terraform token | .atlasv1. | <14(?<=[A-Za-z0-9]{14}\.atlasv1\.)[\w-]{40,}+
a Pulumi token | pul- | [0-9a-f]{40}(?!\w)
a Doppler token | dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit. | (?:[a-z0-9_-]{2,35}\.)?+[A-Za-z0-9]{30,}+
a 1Password token | ops_eyJ | [\w+/=-]{40,}+
a 1Password key | A3- | [A-Z0-9]{6}-[A-Z0-9-]{20,}+
an age key | AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1 | [0-9A-Z]{40,}+
an age key | age-secret-key-1 age-secret-key-pq-1 | [0-9a-z]{40,}+
a Tailscale key | tskey- | [\w-]{20,}+
a Sonar token | squ_ sqp_ sqa_ | [0-9a-f]{40}(?!\w)
a Sentry token | sntrys_ sntryu_ | [\w+/=-]{30,}+
a Grafana token | glsa_ glc_eyJ | [\w+/=-]{24,}+
a Grafana key | eyJrIjoi | [\w+/=-]{20,}+
a New Relic key | NRAK- NRII- NRIQ- NRBR- NRJS- NRSP- | [\w-]{16,}+
a New Relic key | NRAL | <36(?<=[0-9a-fx]{32}FFFFNRAL)
a Dynatrace token | dt0c01. dt0s01. dt0s02. dt0s16. | [A-Z0-9]{20,}+\.[A-Z0-9]{40,}+
a Honeycomb key | hcaik_ hcaic_ hcaki_ | [a-z0-9]{30,}+
a Postman key | PMAK- | [0-9a-f]{24}-[0-9a-f]{30,}+
a Linear key | lin_api_ lin_oauth_ lin_wh_ | [A-Za-z0-9]{30,}+
a Notion token | ntn_ | [A-Za-z0-9]{40,}+
a Notion token | secret_ | ![A-Za-z0-9]{40,46}(?!\w)
an Airtable token | pat | [A-Za-z0-9]{14}\.[0-9a-f]{64}
an Atlassian token | ATATT3 ATCTT3 ATBB | [\w=+/-]{20,}+
a Figma token | figd_ figp_ figu_ figo_ figor_ | [\w=-]{30,}+
a Dropbox token | sl. | ![\w-]{100,}+
a Typeform token | tfp_ | [\w.=-]{40,}+
a Shopify token | shpat_ shpca_ shppa_ shpss_ shpua_ | [0-9a-fA-F]{32}(?!\w)
a Square token | sq0atp- sq0csp- sq0idb- | [\w-]{20,}+
a Square token | EAAA | ![\w-]{56,}+
a Facebook token | EAAC EAAM EAAG EAAB EAAD EAAJ | ![A-Za-z0-9]{80,}+
a PayPal token | access_token$production$ access_token$sandbox$ | [\w$]{20,}+
a Razorpay key | rzp_live_ rzp_test_ | [A-Za-z0-9]{14,}+
a Plaid token | access-sandbox- access-development- access-production- | [0-9a-f-]{36}(?!\w)
a Mapbox token | sk.eyJ | [\w-]{20,}+\.[\w-]{10,}+
a PlanetScale token | pscale_tkn_ pscale_pw_ pscale_oauth_ pscale_service_ | [\w.=-]{30,}+
a Neon key | napi_ | [A-Za-z0-9]{40,}+
a Neon password | npg_ | ![A-Za-z0-9]{12,}+
a Supabase token | sbp_ sbp_oauth_ | [0-9a-f]{40}(?!\w)
a Supabase key | sb_secret_ | [\w-]{20,}+
a MongoDB secret | mdb_sa_sk_ | [\w-]{20,}+
a dbt token | dbtc_ dbtu_ | [\w-]{30,}+
a Vercel token | vcp_ vck_ vci_ vca_ vcr_ | ![A-Za-z0-9]{24,}+
a Netlify token | nfp_ | [A-Za-z0-9]{32,}+
a Render key | rnd_ | ![A-Za-z0-9]{28,}+
a Fly token | fo1_ | [\w-]{30,}+
a Fly token | fm1a_ fm1r_ fm2_ | [\w+/=,-]{60,}+
a Heroku key | HRKU- | [\w-]{30,}+
a Buildkite token | bkua_ bkct_ | [0-9a-f]{40}(?!\w)
a CircleCI token | CCIPAT_ CCIPRJ_ | [\w]{40,}+
a ReadMe key | rdme_ | [a-z0-9]{60,}+
a PostHog key | phx_ phs_ | ![A-Za-z0-9_]{40,}+
a Contentful token | CFPAT- | [\w-]{40,}+
a Sourcegraph token | sgp_ slk_ | [0-9a-f_]{40,}+
an EasyPost key | EZAK EZTK | [A-Za-z0-9]{54}(?!\w)
a Duffel token | duffel_live_ duffel_test_ | [\w=-]{40,}+
a Frame.io token | fio-u- | [\w=-]{60,}+
a Flutterwave key | FLWSECK- FLWSECK_TEST- | [0-9a-zA-Z]{12,}+
an Adafruit key | aio_ | [A-Za-z0-9]{28}(?!\w)
an Apify token | apify_api_ | [A-Za-z0-9]{30,}+
a HubSpot token | pat-na1- pat-eu1- pat-ap1- | [0-9a-f-]{36}(?!\w)
a Salesforce key | 3MVG9 | ![\w.+/=]{80,}+
an OpenShift token | sha256~ | [\w-]{43}(?![\w-])
an Alibaba key | LTAI | ![A-Za-z0-9]{12,26}(?![A-Za-z0-9])
a Tencent key | AKID | ![A-Za-z0-9]{32}(?!\w)
a Yandex key | AQVN | [\w-]{35,}+
a Yandex token | y0_ | ![\w-]{50,}+
a Harness token | pat. sat. | [\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}
a Rootly key | rootly_ | [0-9a-f]{64}
a Ramp secret | ramp_sec_ | [A-Za-z0-9]{40,}+
an Elastic key | essu_ | [\w+/=-]{20,}+
a Polar token | polar_oat_ polar_pat_ | [\w]{30,}+
a Scalingo token | tk-us- | ![\w-]{48}(?![\w-])
a Lark or Feishu webhook | open.feishu.cn/open-apis/bot/v2/hook/ open.larksuite.com/open-apis/bot/v2/hook/ | [\w-]{20,}+
a JSON web token | eyJ | (?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]{8,}+){1,3}+
a JSON web token | eyJ | [\w-]{8,2000}+\.eyJ[\w-]{8,}+\.[\w-]{8,}+
"""

# The letters begin a word: nothing, or what ends a colour, an escape of JSON or one of an address, stands before them.
_BEFORE = (
    *(r"(?<![A-Za-z0-9]{})", r"(?<=\\[nrtbf]{})", r"(?<=\\u[0-9a-f]{{4}}{})", r"(?<=%[0-9A-Fa-f]{{2}}{})"),
    *(r"(?<=\[m{})", r"(?<=\[[0-9]m{})", r"(?<=[\[;][0-9]{{2}}m{})", r"(?<=;[0-9]m{})", r"(?<=;[0-9]{{3}}m{})"),
    *(r"(?<=\x1b\[K{})", r"(?<=\x1b\(B{})"),
)
_MIN_WORD = 16  # no row above has a shorter match
_HEAD = 4
_WORDS = bytes(byte if (chr(byte).isalnum() and byte < 128) or byte in b"_-+/=.:~$%@" else 32 for byte in range(256))
_RUNS = bytes(byte if chr(byte).isalnum() and byte < 128 else 32 for byte in range(256))
_ESCAPES = lazy(rb"\[[0-9;]{1,20}m|\x1b\[[mK]|\x1b\(B|\\(?:[nrtbf]|u[0-9a-f]{4})|%[0-9A-Fa-f]{2}")


class _Shape(NamedTuple):
    what: str
    start: bytes
    going_on: str
    judge: re.Pattern[bytes] | None
    before: int | None

    @property
    def head(self) -> bytes:
        """The letters and digits it begins with, at most four."""
        found = re.match(rb"[A-Za-z0-9]{1,4}", self.start)
        return found[0] if found else b""


_JUDGES = {
    "!": lazy(rb"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])"),
    "?": lazy(rb"(?:[\w-]*[_-])??(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16}"),
}


def _read_table() -> tuple[_Shape, ...]:
    found = []
    for line in _TABLE.strip().splitlines():
        what, starts, pattern = (part.strip() for part in line.split("|", 2))
        judge = _JUDGES.get(pattern[0])
        before = re.match(r"<([0-9]+)", pattern)
        going_on = pattern[1:] if judge else pattern[before.end() :] if before else pattern
        found += [
            _Shape(what, start.encode(), going_on, judge, int(before[1]) if before else None)
            for start in starts.split()
        ]
    return tuple(found)


@functools.cache
def _table() -> tuple[tuple[_Shape, ...], dict[bytes, tuple[_Shape, ...]], dict[bytes, tuple[_Shape, ...]]]:
    """Returns the shapes that begin no word, those by the word they begin with, and those by a word's first letters."""
    loose: list[_Shape] = []
    words: dict[bytes, list[_Shape]] = {}
    letters: dict[bytes, list[_Shape]] = {}
    for shape in _read_table():
        if shape.before is not None:
            loose.append(shape)
        else:
            whole = shape.head == shape.start and len(shape.head) < _HEAD
            (letters if whole else words).setdefault(shape.head, []).append(shape)
    return tuple(loose), _frozen(words), _frozen(letters)


def _frozen(group: dict[bytes, list[_Shape]]) -> dict[bytes, tuple[_Shape, ...]]:
    return {key: tuple(found) for key, found in group.items()}


@functools.cache
def _pattern(shape: _Shape) -> re.Pattern[bytes]:
    start = re.escape(shape.start.decode())
    word = "" if shape.before is not None else "(?:" + "|".join(one.format(start) for one in _BEFORE) + ")"
    return re.compile((start + word + shape.going_on).encode(), re.ASCII)


def find(data: bytes) -> Iterator[Span]:
    """Yields what looks like a token or a private key; spans of several shapes may overlap."""
    if b"PRIVATE KEY" in data or b"PuTTY-User-Key" in data:
        yield from _private_keys(data)
    # What is long enough for a token, each word once: of most texts that is nothing, or a few paths.
    long = {word for word in data.translate(_WORDS).split() if len(word) >= _MIN_WORD}
    if not long:
        return
    words = b" ".join(long)
    for shape in _possible(words, data):
        if shape.start in data:
            for found in _pattern(shape).finditer(data):
                if shape.judge is None or shape.judge.match(data, found.start() + len(shape.start), found.end()):
                    yield Span(found.start() - (shape.before or 0), found.end(), shape.what)
    for pattern, what in _BOTS:
        yield from (Span(*found.span(), what) for found in pattern.finditer(data))


def _possible(words: bytes, data: bytes) -> Iterator[_Shape]:
    """Yields the shapes whose first letters begin a word."""
    loose, by_word, by_letters = _table()
    yield from (shape for shape in loose if shape.start in words)
    heads = {run[:_HEAD] for run in words.translate(_RUNS).split()}
    if b"\\" in data or b"[" in data or b"%" in data:
        heads |= {run[:_HEAD] for run in _ESCAPES.sub(b" ", data).translate(_RUNS).split()}
    for head in heads & by_word.keys():
        yield from by_word[head]
    shorter = {head[:size] for head in heads for size in (2, 3)}
    for head in shorter & by_letters.keys():
        yield from by_letters[head]


# Tokens that begin with no letters of their own: a bot's number or its code, and what only a random text has after it.
_BOTS = (
    (
        lazy(
            rb"(?:(?<![0-9A-Za-z])|(?<=[0-9]m)|(?<=\\n)|(?<=%[0-9A-F]{2})|(?<=\\u003d))(?:bot)?[0-9]{8,10}:"
            rb"(?=[\w-]{0,40}?[0-9])(?=[\w-]{0,40}?[a-z])(?=[\w-]{0,40}?[A-Z])[\w-]{34,36}(?![\w-])"
        ),
        "a Telegram bot token",
    ),
    (
        lazy(
            rb"[MNO](?:(?<![\w-][MNO])|(?<=[0-9]m[MNO])|(?<=\\n[MNO]))[\w-]{22,27}\.[\w-]{6}\."
            rb"(?=[\w-]{0,40}?[0-9])(?=[\w-]{0,40}?[a-z])(?=[\w-]{0,40}?[A-Z])[\w-]{27,}+"
        ),
        "a Discord bot token",
    ),
)


_BEGIN = lazy(rb"-{3,5}BEGIN[ \w]{0,60}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]+:")
_END = lazy(rb"-{3,5}END[ \w]{0,60}PRIVATE KEY(?: BLOCK)?-----|Private-MAC:[ \t]*[0-9a-f]*")
_BODY = lazy(rb"(?:[A-Za-z0-9+/=\s\"',\\|>#]|[\w-]{1,40}:[^\n]{0,200}\n)*+")
_MAX_KEY = 40_000
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"


def _private_keys(data: bytes) -> Iterator[Span]:
    """Yields private keys: to their end, or, where that was cut away, as far as it looks like one."""
    what = "a private key"
    begins = [*_BEGIN.finditer(data)]
    ends = [*_END.finditer(data)]
    number = 0
    for begin, following in itertools.zip_longest(begins, begins[1:]):
        limit = min(len(data) if following is None else following.start(), begin.end() + _MAX_KEY)
        while number < len(ends) and ends[number].start() < begin.end():
            number += 1
        if number < len(ends) and ends[number].end() <= limit:
            yield Span(begin.start(), ends[number].end(), what)
        else:
            body = _BODY.match(data, begin.end(), limit)
            yield Span(begin.start(), body.end() if body else begin.end(), what)
    # The rest of a key whose beginning was cut away: lines of base 64 in front of the end.
    at = 0
    for end in ends:
        above = data[max(at, end.start() - _MAX_KEY) : end.start()]
        size = len(above) - len(above.rstrip(_BASE64))
        if size >= 40 and b"\n" in above[-size:]:
            yield Span(end.start() - size, end.end(), what)
        at = end.end()
