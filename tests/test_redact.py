"""Secrets are replaced, and nothing of a training run that only looks like one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gittrack import redact
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
