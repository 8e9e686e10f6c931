"""The language of `--where`: what is written, what it means as a tree, and where an error points."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gittrack.errors import Misread, UsageError
from gittrack.query import language
from gittrack.query.condition import And, Compare, Condition, In, IsNan, Match, Not, Or, Presence, Truth
from gittrack.query.fields import Field
from gittrack.terminal import printable

LR, BATCH = Field("params", "lr"), Field("params", "batch")
LOSS, ACC = Field("metrics", "loss", "last"), Field("metrics", "val/acc", "last")
NAME, TAGS, STARRED, DIRTY = (Field("run", name) for name in ("name", "tags", "starred", "dirty"))
CREATED = Field("run", "created")


def date(text: str) -> float:
    if text == "2 weeks from never":
        raise UsageError(f"git does not understand the date '{text}'")
    return {"2 weeks ago": 1000.0, "2026-11-23 00:00:00": 2000.0}[text]


def parse(text: str) -> Condition:
    return language.parse(text, date=date)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metrics.val/acc > 0.9", Compare(ACC, ">", 0.9)),
        ("metrics.val/acc>0.9", Compare(ACC, ">", 0.9)),
        ("params.train-size!=1e3", Compare(Field("params", "train-size"), "!=", 1000.0)),
        ("params.a!b!=-1", Compare(Field("params", "a!b"), "!=", -1)),
        ("params.x<-.5e-3", Compare(Field("params", "x"), "<", -0.0005)),
        ("params.n == 1_000", Compare(Field("params", "n"), "==", 1000)),
        ("params.n == 18446744073709551616", Compare(Field("params", "n"), "==", 2**64)),
        ("1e-5 <= params.lr < 1e-3", And((Compare(1e-5, "<=", LR), Compare(LR, "<", 1e-3)))),
        ("0 < metrics.loss < metrics.val/acc", And((Compare(0, "<", LOSS), Compare(LOSS, "<", ACC)))),
        ("metrics.loss < inf", Compare(LOSS, "<", math.inf)),
        ("metrics.loss > -inf", Compare(LOSS, ">", -math.inf)),
        ('metrics["a b"].best == 1', Compare(Field("metrics", "a b", "best"), "==", 1)),
        ('metrics["loss.min"] == 1', Compare(Field("metrics", "loss.min", "last"), "==", 1)),
        ("metrics.loss.min == 1", Compare(Field("metrics", "loss", "min"), "==", 1)),
        ("params['x, (y)'] == 'it''", None),
        ("params['x, (y)'] == 'it\\'s'", Compare(Field("params", "x, (y)"), "==", "it's")),
        ('params.日本 == "語"', Compare(Field("params", "日本"), "==", "語")),
        ("starred and not dirty", And((Truth(STARRED), Not(Truth(DIRTY))))),
        ("not starred == false", Not(Compare(STARRED, "==", 0))),
        ("starred or dirty and starred", Or((Truth(STARRED), And((Truth(DIRTY), Truth(STARRED)))))),
        ("(starred or dirty) and starred", And((Or((Truth(STARRED), Truth(DIRTY))), Truth(STARRED)))),
        ("params.amp == True", Compare(Field("params", "amp"), "==", 1)),
        ("params.lr in (1, 0.1, 'x',)", In(LR, (1, 0.1, "x"))),
        ("params.lr not in [1]", Not(In(LR, (1,)))),
        ('"paper" in tags', Compare(TAGS, "==", "paper")),
        ('"paper" not in tag', Not(Compare(TAGS, "==", "paper"))),
        ('tag == "paper"', Compare(TAGS, "==", "paper")),
        ('"paper" != tags', Compare("paper", "!=", TAGS)),
        ('tag in ("a", "b")', In(TAGS, ("a", "b"))),
        ("metrics.loss is none", Not(Presence(LOSS))),
        ("metrics.loss is not None", Presence(LOSS)),
        ("metrics.loss is nan", IsNan(LOSS)),
        ("params.lr is not nan", Not(IsNan(LR))),
        ("tags is none", Not(Presence(TAGS))),
        ('name ~ "^heron\\.[0-9]\\b"', Match(NAME, r"^heron\.[0-9]\b")),
        (r'name ~ "a\\.b\"c"', Match(NAME, r'a\.b"c')),
        ('created > "2 weeks ago"', Compare(CREATED, ">", 1000.0)),
        ('"2026-11-23" <= created', Compare(2000.0, "<=", CREATED)),
        ('created == "1970-01-01T00:00:01.500Z"', Compare(CREATED, "==", 1.5)),
        ("created < 5", Compare(CREATED, "<", 5)),
        ('created in ("2 weeks ago", 5)', In(CREATED, (1000.0, 5))),
        ("ended > created", Compare(Field("run", "ended"), ">", CREATED)),
        ('code == "a"', Compare(Field("run", "code.commit"), "==", "a")),
    ],
)
def test_a_query_is_read_as_python_would_read_it(text: str, tree: Condition | None) -> None:
    if tree is None:
        with pytest.raises(UsageError):
            parse(text)
    else:
        assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "^", "empty"),
        ("loss > 1", "^~~~", "metrics.loss or params.loss"),
        ("starred and creatd > 1", "            ^~~~~~", "'created'"),
        ("metric.loss > 1", "^~~~~~~~~~~", "'metrics.loss'"),
        ("metrics > 1", "^~~~~~~", "metrics.NAME"),
        ("status == finished", "          ^~~~~~~~", '"finished"'),
        ("params.lr = 1", "          ^", "equal is =="),
        ("params.lr == none", "             ^~~~", "`is none`"),
        ("params.lr == nan", "             ^~~", "`is nan`"),
        ("params.lr in (1, nan)", "                 ^~~", "a list"),
        ("params.lr in (params.b)", "              ^~~~~~~~", "a list"),
        ("params.lr in ()", "             ^~", "empty"),
        ("params.lr in (1", "               ^", "',' or ')'"),
        ("params.lr in (1]", "               ^", "',' or ')'"),
        ('params.lr in "abc"', "             ^~~~~", "no list"),
        ('"x" in name', "       ^~~~", 'name ~ "part"'),
        ("5 in tags", "     ^~~~", "no list"),
        ("1 in (1, 2)", "^", "only a field"),
        ("params.lr not 5", "          ^~~", "'and' or 'or'"),
        ("params.lr > 1 && starred", "              ^~", "write `and`"),
        ("params.lr > 1 OR starred", "              ^~", "write `or`"),
        ("! starred", "^", "write `not`"),
        ("starred !", "        ^", "write `not`"),
        ("params.a + 1 > 2", "         ^", "no arithmetic"),
        ("(starred", "        ^", "')'"),
        ("starred)", "       ^", "'and' or 'or'"),
        ("starred and", "           ^", "a field before the end"),
        ("not", "   ^", "a field before the end"),
        ("metrics.loss >", "              ^", "a value before the end"),
        ('name == "abc', "        ^~~~", "closing quote"),
        ('name ~ "("', "       ^~~", "no regular expression"),
        ("name ~ heron", "       ^~~~~", "in quotes"),
        ('metrics.loss ~ "1"', "^~~~~~~~~~~~", "only a text"),
        ('points > "5"', "         ^~~", "leave the quotes out"),
        ("name == 42", "        ^~", "put it in quotes"),
        ("tag > 'a'", "    ^", '"x" in tags'),
        ("tag == name", "    ^~", '"x" in tags'),
        ("tag == 5", "       ^", "put it in quotes"),
        ("name", "^~~~", "`name is not none`"),
        ("1 < 2", "^~~~~", "no field"),
        ("1 < 2 < points", "^~~~~", "no field"),
        ("5", " ^", "a comparison"),
        ("1e5e < points", "^~~~", "no number"),
        ("points > 0x10", "         ^~~~", "no number"),
        ("starred is true", "           ^~~~", "'none' or 'nan'"),
        ("points is nan", "^~~~~~", "only params and metrics"),
        ("5 is none", "^", "only a field"),
        ('metrics["a"].goal > 1', "^~~~~~~~~~~~~~~~~", "no statistic"),
        ("metrics[a] > 1", "        ^", "a name in quotes"),
        ('metrics["a" > 1', "            ^", "']'"),
        ("params.a[0] > 1", "        ^", 'params["a[0]"]'),
        ('created > "gibberish"', "          ^~~~~~~~~~~", "no date"),
        ('created > "2 weeks from never"', "          ^~~~~~~~~~~~~~~~~~~~", "git does not understand"),
        ('name == "\\ud800"', "        ^~~~~~~~", "Unicode"),
        ('name == "\udc80"', "         ^~~~~~", "Unicode"),
        ("metrics.日本 > 日本", "               ^~~~", "metrics.日本"),
        ("metrics.e\u0301 > \x00 a", "            ^~~~", "x00"),
    ],
)
def test_an_error_points_at_the_character(text: str, place: str, said: str) -> None:
    with pytest.raises(Misread) as error:
        parse(text)

    lines = error.value.lines()
    assert error.value.exit_code == 2
    assert said in " ".join(lines), lines
    marks = [line for line in lines if line.startswith("       ")]
    assert [line[7:] for line in marks] == ([place] if text else [])
    assert lines[1:2] == ([f"cause: {printable(text)}"] if text else ["hint: " + str(error.value.hint)])


def test_of_a_long_query_the_part_around_the_error_is_shown() -> None:
    text = "metrics.first > 1 and " * 100 + "wrong > 1" + " and metrics.last > 1" * 100
    with pytest.raises(Misread) as error:
        parse(text)

    _, cause, mark, _ = error.value.lines()
    shown = cause.removeprefix("cause: ")
    assert len(shown) <= 72
    assert shown.startswith("...")
    assert shown.endswith("...")
    at = mark.index("^")
    assert cause[at : at + 5] == "wrong"
    assert mark.strip() == "^~~~~"
    assert (error.value.start, error.value.end) == (2200, 2205)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * (language.MAX_LENGTH + 1), "at most 65536 characters"),
        ("(" * 51 + "starred" + ")" * 51, "nested at most 50 deep"),
        ("not " * 51 + "starred", "nested at most 50 deep"),
        ("(" * 60000, "nested at most 50 deep"),
        (" or ".join(["starred"] * 501), "at most 500 comparisons"),
        ("points" + " < points" * 501, "at most 500 comparisons"),
        (f"points in ({'1,' * 5001})", "at most 5000 values"),
    ],
)
def test_a_query_beyond_the_limits_is_an_error(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    assert said in error.value.message


def test_a_query_at_the_limits_is_read() -> None:
    assert isinstance(parse("not (" * 25 + "starred" + ")" * 25), Not)
    assert isinstance(parse(" and ".join(["points > 1"] * 500)), And)
    assert isinstance(parse(f"points in ({'1,' * 5000})"), In)


WORDS = st.sampled_from(
    [
        *("and", "or", "not", "in", "is", "none", "nan", "inf", "true", "(", ")", "[", "]", ",", "==", "!=", "<", ">="),
        *("~", "=", "!", "1", "-2.5e3", "1e", '"x"', "'2 weeks ago'", '"(', "metrics.a", "metrics", '["b"]', ".min"),
        *(
            "params.lr",
            "params",
            "tags",
            "tag",
            "created",
            "starred",
            "name",
            "points",
            "zzz",
            "\\",
            "é",
            "\ud800",
            "\0",
        ),
    ]
)


@settings(max_examples=400)
@given(st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=8).map("".join) | st.text(max_size=20))
@example("name ~ '[[a]'")
@example("name ~ 'x{99999999999999}'")
@example("points > " + "9" * 5000)
@example("name == '\\U99999999'")
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    error = None
    try:
        language.parse(text, date=lambda _: 0.0)
    except UsageError as exc:
        error = exc

    assert error is None or error.exit_code == 2
    assert all(line == printable(line) for line in (error.lines() if error else ()))
