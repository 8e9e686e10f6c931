"""Secrets are replaced, and nothing of a training run that only looks like one."""

from __future__ import annotations

import base64
import math
import random
import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gittrack import redact
from tests.secrets.canaries import INNOCENT, SHAPES, make
from tests.strategies import mappings, texts

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"
TOKENS = {
    "github": "ghp_" + KEY[:36],
    "github, fine-grained": "github_pat_" + KEY,
    "gitlab": "glpat-" + KEY[:20],
    "hugging face": "hf_" + KEY[:34],
    "openai": "sk-" + KEY,
    "openai, project": "sk-proj-" + KEY,
    "anthropic": "sk-ant-api03-" + KEY,
    "openrouter": "sk-or-v1-" + "0123456789abcdef" * 4,
    "slack": "xoxb-1234567890-" + KEY[:10],
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "aws, temporary": "ASIAIOSFODNN7EXAMPLE",
    "google": "AIza" + KEY[:35],
    "google, oauth": "ya29." + KEY,
    "npm": "npm_" + KEY[:36],
    "pypi": "pypi-" + KEY,
    "jwt": "eyJ" + KEY[:12] + ".eyJ" + KEY[:20] + "." + KEY[:20],
    "a private key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n{KEY}==\n-----END OPENSSH PRIVATE KEY-----",
    "the head of one": "-----BEGIN RSA PRIVATE KEY-----",
}
HARMLESS = (
    *("0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "sha256:" + "0123456789abcdef" * 4, "mask-rcnn-resnet50-fpn-1x-coco"),
    *("task-classification-finetune-v2", "disk-usage-of-the-training-set-2026", "sk-learn-random-forest-baseline-v1"),
    *("sk-learn", "hf_hub", "shelf_abcdefghijklmnopqrstuvwxyz", "bert-base-uncased", "eyJust a name", "AKIA", "xoxo"),
    *(
        "https://example.org/a@b",
        "https://example.org?mail=a@b.org",
        "git@example.org:a/b.git",
        "ssh://git@example.org/a",
    ),
    *("s3://bucket/key", "[CLS]", "<|endoftext|>", "user@example.org", "://"),
)


@pytest.mark.parametrize("token", TOKENS.values(), ids=list(TOKENS))
@pytest.mark.parametrize(
    "around", ["{}", "token={}", "Bearer {}", "'{}'", "a {} b", "https://u:{}@example.org/", "x:{}"]
)
def test_a_token_of_a_known_shape_is_replaced_wherever_it_stands(token: str, around: str) -> None:
    clean, count = redact.text(around.format(token))
    assert token not in clean
    assert "***" in clean
    assert count >= 1


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact.text(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://ada:secret@example.org/x", "https://***@example.org/x"),
        ("https://token@example.org/x", "https://***@example.org/x"),
        ("postgres://ada:p@ss@host/db", "postgres://***@host/db"),
        ("see https://a:b@c and http://d:e@f", "see https://***@c and http://***@f"),
    ],
)
def test_credentials_in_an_address_are_replaced(text: str, clean: str) -> None:
    assert redact.text(text) == (clean, text.count("://"))


@given(
    texts
    | st.lists(st.sampled_from([*TOKENS.values(), *HARMLESS, " ", "=", "/", "@", "://"]), max_size=5).map(" ".join)
)
@example("https://" + "a" * 10_000)
def test_what_is_clean_stays_so(text: str) -> None:
    clean, _ = redact.text(text)
    assert redact.text(clean)[0] == clean


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("password", "x", True),
        ("db.password", "x", True),
        ("--API-KEY", "x", True),
        ("WANDB_API_KEY", "x", True),
        ("client_secret", "x", True),
        ("password", "", False),
        ("hf_token", "abcdefgh", True),
        ("token", "[CLS]", False),
        ("token", "        ", False),
        ("credentials", "short", False),
        ("use_cls_token", "True", False),
        ("num_tokens", "100000000", False),
        ("pad_token_id", "12345678", False),
        ("tokenizer", "bert-base-uncased", False),
        ("eos_token", "<|endoftext|>", False),
        ("mask_token", "[MASK_ME_PLEASE]", False),
        ("passwords", "x", False),
        ("dbPassword", "x", True),
        ("AzureOpenAIKey", "x", True),
        ("OPENAI_API_KEY_2", "x", True),
        ("password", "20261123", True),
        ("password", "12", False),
        ("password", "0.5", False),
        ("api_key", "true", False),
        ("api_key", "${API_KEY}", False),
        ("api_key", "API_KEY", False),
        ("private_key", "/home/ada/.ssh/id_rsa", False),
        ("private_key", "/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", True),
        ("use_auth", "kerberos", False),
        ("trigger_token", "sks-person-12", False),
        ("primary_key", "customer_id", False),
        ("password_reset_rate", "abcdefgh1", False),
        ("secretary", "x", False),
        ("path", "abcdefghij", False),
        ("lr", "0.1", False),
    ],
)
def test_a_secret_is_known_by_the_name_it_stands_under(name: str, value: str, secret: bool) -> None:
    assert redact.is_secret(name, value) == secret


@pytest.mark.parametrize(
    ("argv", "clean"),
    [
        (["train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["train.py", "--password", "hunter2"], ["train.py", "--password", "***"]),
        (["train.py", "--password=hunter2"], ["train.py", "--password=***"]),
        (["env", "API_KEY=x", "train"], ["env", "API_KEY=***", "train"]),
        (["train", "--token", "abcdefgh", "next"], ["train", "--token", "***", "next"]),
        (["train", "--token", "--lr", "abcdefgh"], ["train", "--token", "--lr", "abcdefgh"]),
        (["train", "--password=a", "b"], ["train", "--password=***", "b"]),
        (["train", TOKENS["openai"]], ["train", "***"]),
        (["train", "--url=https://a:b@c"], ["train", "--url=https://***@c"]),
        (["train", "--use_cls_token=True", "--num_tokens", "4096000000"],) * 2,
        (["train", "--resume", "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"],) * 2,
        (["curl", "-u", "ada:pw", "-H", "X-Key: 1"], ["curl", "-u", "ada:***", "-H", "X-Key: 1"]),
        (["curl", "-H", "Authorization: Bearer a1b2"], ["curl", "-H", "Authorization: Bearer ***"]),
        (["/usr/bin/mysql", "-uroot", "-psecret", "data"], ["/usr/bin/mysql", "-uroot", "-p***", "data"]),
        (["docker", "login", "-p", "x"], ["docker", "login", "-p", "***"]),
        (["docker", "run", "-p", "80:80", "image"],) * 2,
        (["python", "train.py", "-p", "5", "-u", "a:b"],) * 2,
        (["sh", "-c", "mysql -psecret data; ls -p x"], ["sh", "-c", "mysql -p*** data; ls -p x"]),
        (["env", "PASSWORD=x", "train"], ["env", "PASSWORD=***", "train"]),
        (["curl", "--user=a:b"], ["curl", "--user=a:***"]),
        (["train", "--from-literal=password=abcd"], ["train", "--from-literal=password=***"]),
        ([], []),
    ],
)
def test_a_command_line_keeps_all_but_its_secrets(argv: list[str], clean: list[str]) -> None:
    assert redact.command(argv) == (clean, sum("***" in word for word in clean))


def test_params_keep_all_but_their_secrets() -> None:
    given_params = {
        "lr": 0.1,
        "password": "hunter2",
        "nested": {"api_key": "x", "list": [1, {"token": "abcdefgh"}], "tokens": ["a", "b"]},
        "hf_token": ["abcdefgh", "ijklmnop"],
        "secret": None,
        "url": "https://a:b@c",
        "num_tokens": 5,
        "nan": math.nan,
    }
    clean, count = redact.params(given_params)
    assert repr(clean) == repr(
        {
            "lr": 0.1,
            "password": "***",
            "nested": {"api_key": "***", "list": [1, {"token": "***"}], "tokens": ["a", "b"]},
            "hf_token": ["***", "***"],
            "secret": None,
            "url": "https://***@c",
            "num_tokens": 5,
            "nan": math.nan,
        }
    )
    assert count == 6


@given(mappings(texts))
def test_params_without_secrets_stay_as_they_are(given_params: dict[str, Any]) -> None:
    clean, count = redact.params(given_params)
    assume(count == 0)  # a name that was drawn may be `PW`
    assert repr(clean) == repr(given_params)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://ada:secret@example.org/x.git", "https://example.org/x.git"),
        ("https://token@example.org:8080/x.git?access_token=y#z", "https://example.org:8080/x.git"),
        ("ssh://git@example.org:22/x.git", "ssh://git@example.org:22/x.git"),
        ("ssh://ada:secret@example.org/x.git", "ssh://ada@example.org/x.git"),
        ("ssh://example.org/x.git", "ssh://example.org/x.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("file:///srv/git/x.git", "file:///srv/git/x.git"),
        ("https://a:b@[::1/x", "https://***@[::1/x"),
    ],
)
def test_the_address_of_a_remote_has_no_credentials(url: str, clean: str) -> None:
    assert redact.address(url) == clean


# Of every kind ------------------------------------------------------------------------------------------------------

KINDS = make("pure")


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_secret_of_every_kind_is_replaced(kind: str) -> None:
    one = KINDS[kind]
    for around in ("{}", "a {} b", "'{}'", "\x1b[32m{}\x1b[0m", "[{}]", "log: {}\nnext", '"a\\n{}\\n"', "\t{}\r\n"):
        text = around.format(one.text)
        clean, count = redact.text(text)
        assert one.secret not in clean, around
        assert count >= 1
        assert redact.text(clean) == (clean, 0)
        assert redact.raw(text.encode()) == (clean.encode(), count)


@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_token_is_known_in_an_address_a_path_and_a_name(kind: str) -> None:
    one = KINDS[kind]
    if "://" in one.text:
        return
    for around in ("x%3D{}", "/data/{}/x", "--run={}", "run_{}", "key\\u003d{}", "a|{}|b", "<{}>", "acc/{}"):
        assert one.secret not in redact.text(around.format(one.text))[0], around
    assert one.secret not in redact.path(f"out/{one.text}.pt")[0]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_looks_like_a_secret_and_is_none_stays_everywhere(text: str) -> None:
    assert redact.text(text) == (text, 0)
    assert redact.raw(f"before\n{text}\nafter\n".encode())[1] == 0
    assert redact.command(["train", text]) == (["train", text], 0)
    assert redact.params({"a": {"b": [text]}}) == ({"a": {"b": [text]}}, 0)
    assert redact.path(text) == (text, 0)
    assert redact.first(text.encode()) is None


def test_a_path_stays_a_path() -> None:
    token = KINDS["github, classic"].text
    assert redact.path(f"out/{token}/a.pt") == ("out/redacted/a.pt", 1)
    assert redact.path("tokens/password=hunter2.txt") == ("tokens/password=hunter2.txt", 0)


def test_keys_of_params_are_cleaned_and_two_stay_two() -> None:
    one, two = KINDS["github, classic"].text, KINDS["stripe"].text
    assert redact.params({one: 1, two: 2}) == ({"***": 1, "****": 2}, 2)


def test_what_stands_below_secrets_is_one() -> None:
    given_params = {
        "secrets": {"db": "hunter2hunter2", "port": 5432, "inner": {"password": "x"}},
        "wandb": {"key": "abc", "mode": "offline"},
    }
    clean, count = redact.params(given_params)
    assert clean == {
        "secrets": {"db": "***", "port": 5432, "inner": {"password": "***"}},
        "wandb": {"key": "***", "mode": "offline"},
    }
    assert count == 3


def test_a_list_of_words_is_read_as_a_command_line() -> None:
    assert redact.params({"argv": ["train", "--password", "hunter2", "--lr", "1"]})[0] == {
        "argv": ["train", "--password", "***", "--lr", "1"]
    }


@pytest.mark.parametrize("kind", [kind for kind, one in KINDS.items() if one.sure])
def test_a_file_with_a_sure_secret_is_found_with_its_line(kind: str) -> None:
    found = redact.first(f"import os\n\nx = <{KINDS[kind].text}>\n".encode())
    assert found is not None
    assert found[1] == 3


@pytest.mark.parametrize(
    "text",
    [
        "password = 'hunter2'",
        "https://user:password@example.org",
        "https://{user}:{token}@host",
        "https://ada@example.org",
        "api_key = os.environ['KEY']",
        "PASSWORD = 'correct horse battery staple'",
        "cookie = windll.advapi32.IsValidSid",
    ],
)
def test_a_file_with_what_may_be_an_example_is_kept(text: str) -> None:
    assert redact.first(text.encode()) is None


def test_the_rest_of_a_private_key_is_hidden_where_the_output_was_cut() -> None:
    lines = [base64.b64encode(random.Random(number).randbytes(48)).decode() for number in range(4)]
    begin, end = (f"-----{word} RSA PRIVATE" + " KEY-----" for word in ("BEGIN", "END"))
    for text in ("\n".join([begin, *lines]), "\n".join([*lines, end]), "\\n".join([begin, *lines, end])):
        clean, count = redact.text(f"before:\n{text}\n[... 5 bytes left out ...]")
        assert [line for line in lines if line in clean] == []
        assert clean.startswith(("before:\n***", "before:***"))
        assert count == 1


# Time ---------------------------------------------------------------------------------------------------------------

SIZE = 2 << 20
HOSTILE = {
    "letters": "a",
    "no end of a web token": "eyJ",
    "dots": "eyJaaaaaaaaaa.",
    "prefixes": "s" + "k-",
    "prefixes with digits": "s" + "k-aaaaaaaaaaaa1-",
    "github": "gh" + "p_",
    "addresses": "://",
    "addresses with a user": "://ada:pw@",
    "keys begin": "-----BEGIN PRIVATE" + " KEY-----",
    "keys end": "-----END PRIVATE" + " KEY-----\n",
    "bots": "12345678:",
    "bots again": "MAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAA.",
    "names": "token=",
    "quotes": 'password="',
    "options": "--password ",
    "headers": "authorization: bearer ",
    "backslashes": "\\",
    "queries": "?sig=",
    "dashes": "-",
    "spaces": " ",
    "machines": "machine a login b ",
    "colours": "\x1b[32m",
    "vault": "s.",
    "airtable": "pat",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=list(HOSTILE))
def test_two_mebibytes_of_anything_take_seconds_and_not_minutes(piece: str) -> None:
    data = (piece * (SIZE // len(piece))).encode()
    assert any(seconds_of(data) < 5 for _ in range(3)), "what is not linear takes minutes"


def test_the_log_of_a_training_takes_less_than_a_second() -> None:
    line = "epoch %d step %d loss: %.4f acc=%.3f tokens/s: %d lr=1e-04 path=/data/checkpoints/model-%d.pt\n"
    data = "".join(line % (n, n * 3, 1 / (n + 1), n / 40_000, n, n) for n in range(25_000)).encode()
    assert redact.raw(data) == (data, 0)
    assert any(seconds_of(data) < 5 for _ in range(3))


def seconds_of(data: bytes) -> float:
    began = time.process_time()
    redact.raw(data)
    return time.process_time() - began
