"""Secrets of many kinds, and what only looks like one.

All are made when the tests run, from pieces, so that no file of this project has a token in it that a host's push
protection would stop."""

from __future__ import annotations

import base64
import json
import random
import string
from dataclasses import dataclass

LETTERS = string.ascii_letters
WORD = LETTERS + string.digits
URL = WORD + "-_"
BASE64 = WORD + "+/"
HEX = "0123456789abcdef"
CAPITALS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Canary:
    """A text with a secret in it; `secret` must not be found anywhere. sure: it needs no name to be known."""

    text: str
    secret: str
    sure: bool = True


class Maker:
    """Makes secrets; another seed makes others."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def some(self, size: int, alphabet: str = WORD) -> str:
        """Returns random characters, a digit, a small and a capital letter among them where the alphabet has them."""
        while True:
            found = "".join(self.random.choices(alphabet, k=size))
            kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
            if size < 6 or all(set(found) & set(kind) or not set(alphabet) & set(kind) for kind in kinds):
                return found if found[0] not in "-_" and found[-1] not in "-_" else found[1:-1].join("aZ")


# What begins the token, and the size and alphabet of the rest.
SHAPES: dict[str, tuple[str, int, str]] = {
    "github, classic": ("gh" + "p_", 36, WORD),
    "github, oauth": ("gh" + "o_", 36, WORD),
    "github, user": ("gh" + "u_", 36, WORD),
    "github, server": ("gh" + "s_", 36, WORD),
    "github, refresh": ("gh" + "r_", 36, WORD),
    "github, fine-grained": ("github" + "_pat_", 82, WORD),
    "gitlab, personal": ("gl" + "pat-", 20, URL),
    "gitlab, deploy": ("gl" + "dt-", 20, URL),
    "gitlab, runner": ("gl" + "rt-", 20, URL),
    "gitlab, job": ("gl" + "cbt-64_", 20, WORD),
    "gitlab, oauth": ("glo" + "as-", 64, HEX),
    "hugging face": ("h" + "f_", 34, LETTERS),
    "hugging face, organisation": ("api" + "_org_", 34, LETTERS),
    "openai": ("s" + "k-", 48, WORD),
    "openai, project": ("sk-" + "proj-", 100, URL),
    "openai, service": ("sk-" + "svcacct-", 100, URL),
    "anthropic": ("sk-" + "ant-api03-", 95, URL),
    "openrouter": ("sk-" + "or-v1-", 64, HEX),
    "deepseek": ("s" + "k-", 32, HEX),
    "w&b": ("wandb" + "_v1_", 77, WORD),
    "replicate": ("r" + "8_", 37, WORD),
    "groq": ("gs" + "k_", 52, WORD),
    "xai": ("xa" + "i-", 80, WORD),
    "langsmith": ("lsv2" + "_pt_", 32, HEX),
    "pinecone": ("pc" + "sk_", 69, WORD),
    "perplexity": ("pp" + "lx-", 48, WORD),
    "nvidia": ("nv" + "api-", 64, URL),
    "aws": ("AK" + "IA", 16, CAPITALS),
    "aws, temporary": ("AS" + "IA", 16, CAPITALS),
    "google": ("AI" + "za", 35, WORD),
    "google, oauth": ("ya" + "29.", 60, URL),
    "google, client": ("GOC" + "SPX-", 28, URL),
    "slack, bot": ("xo" + "xb-1234567890-1234567890-", 24, WORD),
    "slack, user": ("xo" + "xp-1234567890-1234567890-", 32, HEX),
    "slack, app": ("xa" + "pp-1-A0123456-1234567890-", 64, HEX),
    "slack, hook": ("https://hooks.slack" + ".com/services/T0/B0/", 24, WORD),
    "discord, hook": ("https://discord" + ".com/api/webhooks/123456789012345678/", 68, URL),
    "telegram": ("123456789" + ":AA", 33, URL),
    "stripe": ("sk" + "_live_", 24, WORD),
    "stripe, restricted": ("rk" + "_live_", 24, WORD),
    "twilio": ("S" + "K", 32, HEX),
    "npm": ("np" + "m_", 36, WORD),
    "pypi": ("py" + "pi-AgEIcHlwaS5vcmc", 80, URL),
    "docker": ("dckr" + "_pat_", 27, URL),
    "digitalocean": ("dop" + "_v1_", 64, HEX),
    "databricks": ("da" + "pi", 32, HEX),
    "vault": ("hv" + "s.", 95, URL),
    "doppler": ("dp" + ".pt.", 43, WORD),
    "linear": ("lin" + "_api_", 40, WORD),
    "notion": ("nt" + "n_", 46, WORD),
    "notion, old": ("secr" + "et_", 43, WORD),
    "shopify": ("shp" + "at_", 32, HEX),
    "square": ("sq0" + "atp-", 22, URL),
    "planetscale": ("pscale" + "_tkn_", 43, URL),
    "sentry": ("sntr" + "ys_eyJ", 180, WORD),
    "grafana": ("gl" + "sa_", 41, WORD),
    "new relic": ("NR" + "AK-", 27, CAPITALS),
    "fly": ("fo" + "1_", 43, URL),
    "heroku": ("HR" + "KU-AA", 58, URL),
    "age": ("AGE-SECRET" + "-KEY-1", 58, CAPITALS),
    "pulumi": ("pu" + "l-", 40, HEX),
    "tailscale": ("ts" + "key-auth-", 30, WORD),
    "sonar": ("sq" + "u_", 40, HEX),
    "rubygems": ("ruby" + "gems_", 48, HEX),
}
PRIVATE_KEYS = ("RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "")
NAMES = (
    *("password", "PGPASSWORD", "db_password", "smtpPassword", "passphrase", "client_secret", "clientSecret"),
    *("SECRET_KEY", "WANDB_API_KEY", "COMET_API_KEY", "NEPTUNE_API_TOKEN", "MISTRAL_API_KEY", "CO_API_KEY", "HF_TOKEN"),
    *("TWILIO_AUTH_TOKEN", "MLFLOW_TRACKING_PASSWORD", "KAGGLE_KEY", "AZURE_OPENAI_KEY", "access_token", "x-api-key"),
)
FORMS = {
    "shell": "export {name}={value}",
    "yaml": "{name}: {value}",
    "json": '{{"a": 1, "{name}": "{value}"}}',
    "python": "{name} = '{value}'",
    "option": "train --{name} {value} --lr 0.1",
    "escaped": '"{{\\"{name}\\": \\"{value}\\"}}"',
    "namespace": "Namespace(lr=0.1, {name}='{value}', seed=1)",
}
SCHEMES = ("https", "postgresql", "mysql+pymysql", "mongodb+srv", "amqp", "redis", "ftp")
QUERIES = ("token", "api_key", "access_token", "X-Amz-Signature", "sig", "password")
COMMANDS = (
    "curl -u ada:{} https://example.org",
    "mysql -uroot -p{} data",
    "sshpass -p {} ssh host",
    "docker login -u ada -p {}",
    "redis-cli -a {} ping",
    "openssl enc -aes256 -pass pass:{}",
    "wandb login {}",
    "Authorization: Bearer {}",
    "Cookie: theme=dark; sessionid={}",
    "Server=db;User Id=sa;Password={};Encrypt=true",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net",
    "machine example.org login ada password {}",
    "Incorrect API key provided: {}.",
)


def make(seed: str) -> dict[str, Canary]:
    """Returns a secret of each kind, all different from those of another seed."""
    new = Maker(seed)
    found: dict[str, Canary] = {}

    def add(kind: str, text: str, secret: str, *, sure: bool = True) -> None:
        found[kind] = Canary(text, secret, sure)

    for kind, (start, size, alphabet) in SHAPES.items():
        rest = new.some(size, alphabet)
        add(kind, start + rest, rest)
    tail = f".{new.some(22, URL)}.{new.some(43, URL)}"
    add("sendgrid", "S" + "G" + tail, tail)
    tail = new.some(23, WORD) + "." + new.some(6) + "." + new.some(38, URL)
    add("discord", "M" + tail, tail)
    secret = new.some(34, URL)
    add("azure", new.some(3) + "8Q" + "~" + secret, secret)
    parts = [base64.urlsafe_b64encode(json.dumps({key: new.some(20)}).encode()).decode().rstrip("=") for key in "ab"]
    add("jwt", ".".join([*parts, new.some(43, URL)]), parts[1])
    plain = json.dumps({"api_address": "https://example.org", "api_key": new.some(30)}, separators=(",", ":"))
    secret = base64.b64encode(plain.encode()).decode()
    add("neptune", secret, secret)
    for kind in PRIVATE_KEYS:
        secret = new.some(64, BASE64)
        frame = f"-----{{}} {kind}PRIVATE" + " KEY-----"
        lines = [frame.format("BEGIN"), secret, new.some(30, BASE64) + "==", frame.format("END")]
        add(f"private key {kind}", "\n".join(lines), secret)
        if kind == "":
            secret = new.some(64, BASE64)
            lines[1] = secret
            add("service account", json.dumps({"type": "service_account", "private_key": "\n".join(lines)}), secret)
    for scheme in SCHEMES:
        secret = new.some(14)
        add(f"address, {scheme}", f"{scheme}://ada:{secret}@db.example.org:1234/data", secret)
    for query in QUERIES:
        secret = new.some(24)
        add(f"query, {query}", f"GET https://example.org/x?a=1&{query}={secret}&b=2", secret, sure=False)
    for number, name in enumerate(NAMES):
        form = list(FORMS)[number % len(FORMS)]
        secret = new.some(20)
        add(f"name, {name}, {form}", FORMS[form].format(name=name, value=secret), secret, sure=False)
    for line in COMMANDS:
        secret = new.some(24)
        add(f"line, {line}", line.format(secret), secret, sure=False)
    secret = base64.b64encode(f"ada:{new.some(12)}".encode()).decode()
    add("basic", f"Authorization: Basic {secret}", secret, sure=False)
    return found


INNOCENT = (
    *("num_tokens=4096", "max_tokens=4096", "use_cls_token=true", "token_type_ids: [0, 0, 1]"),
    *("tokenizer: bert-base-uncased", 'tokenizer_name="meta-llama/Llama-2-7b-hf"', 'pad_token "<pad>"'),
    *('eos_token="</s>"', '"mask_token": "[MASK]"', "image_token: <image>", "stop_token='###Response'"),
    *("key_dim=64", "num_keys=8", "best_key=resnet50", 'primary_key="id"', "sort_key=date_of_birth", "monkey=see"),
    *("dataset: secret_santa", "secret sauce: a lower rate", "keyboard: qwerty", "passport: required", "pat=10"),
    *("patience=10", "author: Pat Smith", "compass: north", "bypass=true", "password_reset_rate: 0.1"),
    *("auth_loss: 0.231", "api_key_count: 3", "tokens/s: 1234.5", "next_token_loss: 1.23", "token_accuracy=0.91"),
    *(
        "commit 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "sha256:" + HEX * 4,
        "md5=" + HEX * 2,
        "cache_key: " + HEX * 2,
    ),
    *("id=550e8400-e29b-41d4-a716-446655440000", "session_id=550e8400-e29b-41d4-a716-446655440000"),
    *("run_id: 3k2j1h4g", "https://wandb.ai/team/project/runs/1a2b3c4d", "12345678901234567890"),
    *("sk-learn-random-forest-2", "sk-learn-hyperparametersearch-v2", "mask-rcnn-resnet50-fpn-1x-coco"),
    *("/data/tokens/train.bin", "/home/ada/token_cache/a.txt", "https://example.org/a/b?c=d&page=2"),
    *("git@example.org:a/b.git", "ssh://git@example.org/a", "ada@example.org", "postgresql://postgres@localhost/data"),
    *("s3://bucket/token/key", "docker pull ubuntu@sha256:" + HEX * 4, "hf_hub_download(repo_id='a/b')"),
    *("ghp is a word", "com.example.service.Name", "eyJhbGciOiJIUzI1NiJ9", "[0.1 0.2 0.3 1.5e-05]", "lr=1e-4"),
    *("password: null", "token=None", "api_key=args.api_key", 'api_key=os.environ["OPENAI_API_KEY"]'),
    *("token: ${{ secrets.GITHUB_TOKEN }}", "password: ${DB_PASSWORD}", "login(token=token)", "Enter password: "),
    *("def f(token: str, password: str = None):", "for token in tokens: print(token)", '"tokens": ["a", "world123"]'),
    *("docker run -p 8080:80 image", "python train.py -p 5 -u a:b", "Basic training123 is done", "SKU12345"),
    *("2026-11-23T14:51:10.123Z", "torch==2.1.0+cu121", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"),
    *("model.s.abcdefghijklmnopqrstuvwx", "key_padding_mask=None", "public_key: ssh-rsa AAAAB3NzaC1yc2EAAAADAQ"),
)
