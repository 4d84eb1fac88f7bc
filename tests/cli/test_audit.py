"""`fgacore audit`: what it finds in the log of decisions of a store, what it prints, and its exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import fgacore
from cli_stores import invoke

MODEL = """
model
  schema 1.1
type user
type agent
type doc
  relations
    define viewer: [user, agent]
"""


def asked(path: Path | str, **options: object) -> str:
    """A store whose agent has decided four times in three calls; the delegation."""
    with fgacore.open(path, **options) as engine:  # type: ignore[arg-type]
        if engine.revision == 0:
            engine.write_model(MODEL)
            engine.write([("user:anne", "viewer", "doc:1"), ("agent:x", "viewer", "doc:1"), ("user:anne", "viewer", "doc:2")])
        lent = engine.delegate(by="user:anne", to="agent:x", scope=["viewer doc:*"], task="look")
        session = engine.session(lent)
        assert session.check("viewer", "doc:1")
        assert session.check_objects("viewer", ["doc:2", "doc:\u2028odd"]) == [False, False]
        engine.revoke(lent)
        assert not session.check("viewer", "doc:1")
    return lent


@pytest.fixture
def store(tmp_path: Path) -> Path:
    asked(tmp_path / "authz")
    return tmp_path / "authz"


def segments(store: Path) -> list[Path]:
    return sorted(store.glob("decisions/*/*.fgd"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def verified(store: Path, *more: str | Path) -> Result:
    return invoke("audit", "verify", "--store", store, *more)


def test_a_log_as_it_was_written(store: Path) -> None:
    result = verified(store)
    assert (result.exit_code, result.stderr) == (0, "")
    line, summary = result.output.splitlines()
    assert line.endswith("4 decisions in 2 blocks, ended") or "4 decisions in" in line
    assert summary == "4 decisions in 1 chains: as it was written"
    told = json.loads(verified(store, "--json").output)
    assert (told["good"], told["decisions"], told["problems"], told["chains"][0]["is_ended"]) == (True, 4, [], True)


def test_without_a_store_the_directory_is_enough(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FGACORE_STORE", raising=False)
    assert invoke("audit", "verify", "--log", store / "decisions").exit_code == 0
    assert invoke("audit", "head", "--log", store / "decisions").exit_code == 0
    assert invoke("audit", "verify").exit_code == 2
    assert invoke("audit", "verify", "--log", store / "nowhere").exit_code == 2
    assert invoke("audit", "head", "--log", store / "nowhere").exit_code == 2


def test_a_changed_bit_is_damage(store: Path) -> None:
    flip(segments(store)[0], 300)
    result = verified(store)
    assert result.exit_code == 1
    assert "is not what was written" in result.stderr
    assert result.output.splitlines()[-1].endswith("NOT as it was written")
    assert json.loads(verified(store, "--json").stdout)["good"] is False
    for verb in ("head", "replay", "show"):
        result = invoke("audit", verb, "--store", store)
        assert result.exit_code == 1, verb
        assert "damaged" in result.stderr


def test_a_log_of_another_store(store: Path, tmp_path: Path) -> None:
    asked(tmp_path / "other")
    result = invoke("audit", "verify", "--store", tmp_path / "other", "--log", store / "decisions")
    assert result.exit_code == 1
    assert "another store" in result.stderr


def test_heads_find_what_was_cut_or_taken_away(store: Path, tmp_path: Path) -> None:
    heads = invoke("audit", "head", "--store", store).output
    assert json.loads(invoke("audit", "head", "--store", store, "--json").output) == heads.split()
    kept = tmp_path / "heads"
    asked(store)
    kept.write_text(heads + "\n")
    assert verified(store, "--head", heads.strip(), "--heads", kept).exit_code == 0
    kept.write_text(invoke("audit", "head", "--store", store).output)
    assert len(kept.read_text().split()) == 2
    assert verified(store, "--heads", kept).exit_code == 0

    gone = segments(store)[0]
    whole = gone.read_bytes()
    gone.write_bytes(whole[:128])  # a head of a segment is all that is left
    result = verified(store, "--heads", kept)
    assert result.exit_code == 1
    assert "cut short, written anew or taken away" in result.stderr
    gone.unlink()
    gone.with_name("sequence").unlink()
    gone.parent.rmdir()
    assert verified(store).exit_code == 0  # nobody knows that it was there
    assert verified(store, "--heads", kept).exit_code == 1


@pytest.mark.parametrize("wrong", ["", "x", "a:b:c", "01M89EDB0K8X5KF541CXEP6TY7:3:00"])
def test_what_is_no_head(wrong: str, store: Path) -> None:
    result = verified(store, "--head", wrong)
    assert result.exit_code == 2
    assert "no head of a decision log" in result.stderr


def test_keys(tmp_path: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    store = tmp_path / "authz"
    asked(store, log_key=key.private_bytes_raw())
    (tmp_path / "raw").write_bytes(key.public_key().public_bytes_raw())
    (tmp_path / "pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "other").write_bytes(other.public_key().public_bytes_raw())
    (tmp_path / "none").write_bytes(b"no key")
    assert verified(store, "--key", tmp_path / "raw").exit_code == 0
    assert "signed" in verified(store, "--key", tmp_path / "pem").output
    result = verified(store, "--key", tmp_path / "other")
    assert result.exit_code == 1
    assert "not signed by the key" in result.stderr
    assert verified(store, "--key", tmp_path / "none").exit_code == 2
    assert verified(store, "--key", tmp_path / "nowhere").exit_code == 2
    asked(store)  # a chain that nobody signed
    assert verified(store).exit_code == 0
    assert verified(store, "--key", tmp_path / "raw").exit_code == 1


def test_a_replay_without_a_difference(store: Path) -> None:
    result = invoke("audit", "replay", "--store", store)
    assert (result.exit_code, result.output) == (0, "4 decisions, 4 made again as they were, no differences\n")
    told = json.loads(invoke("audit", "replay", "--store", store, "--json").output)
    assert told == {"decisions": 4, "same": 4, "differences": 0, "apart": {}, "examples": []}


def test_a_replay_over_another_history_differs(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    asked(other)
    # the decisions of one store, said to be made over the other: the files say which store they are of
    result = invoke("audit", "replay", "--store", other, "--log", store / "decisions")
    assert result.exit_code == 1
    assert "another store" in result.stderr


def test_what_cannot_be_made_again_is_told(store: Path) -> None:
    with fgacore.open(store) as engine:
        engine.compact()
    result = invoke("audit", "replay", "--store", store)
    assert result.exit_code == 0
    assert result.output == (
        "4 cannot be made again: their history was dropped by a compaction\n4 decisions, 0 made again as they were, no differences\n"
    )


@pytest.fixture
def lines(store: Path) -> Iterator[list[str]]:
    return iter([invoke("audit", "show", "--store", store).output.splitlines()])


def test_show_says_who_what_and_why_not(lines: Iterator[list[str]]) -> None:
    told = [line.split("  ", 1)[1] for line in next(lines)]
    assert told == [
        "user:anne > agent:x  viewer doc:1  allowed  look",
        "user:anne > agent:x  viewer doc:2  not_held (agent:x)  look",
        "user:anne > agent:x  viewer doc:\\u2028odd  not_held (user:anne)  look",
        "user:anne > agent:x  viewer doc:1  delegation_revoked (agent:x)  look",
    ]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--subject", "agent:x"], 4),
        (["--subject", "user:bob"], 0),
        (["--code", "denied"], 3),
        (["--code", "not_held"], 2),
        (["--object", "doc:1"], 2),
        (["--relation", "editor"], 0),
        (["--task", "look"], 4),
        (["--task", "other"], 0),
        (["--since", "2020-01-01T00:00:00Z"], 4),
        (["--since", "2999-01-01T00:00:00Z"], 0),
        (["--until", "2020-01-01T00:00:00Z"], 0),
        (["--limit", "1"], 1),
        (["--code", "denied", "--object", "doc:1"], 1),
    ],
)
def test_filters(options: list[str], count: int, store: Path) -> None:
    result = invoke("audit", "show", "--store", store, "--json", *options)
    assert result.exit_code == 0
    assert len([json.loads(line) for line in result.output.splitlines()]) == count


def test_a_delegation_is_a_filter(store: Path) -> None:
    lent = asked(store)
    told = [json.loads(line) for line in invoke("audit", "show", "--store", store, "--json", "--delegation", lent).output.splitlines()]
    assert len(told) == 4
    assert {each["chain"] for each in told} == {told[0]["chain"]}
    assert told[-1]["delegation"] == lent


def test_times_and_codes_that_are_none(store: Path) -> None:
    for options in (["--since", "yesterday"], ["--until", "2020"], ["--code", "maybe"], ["--limit", "-1"]):
        assert invoke("audit", "show", "--store", store, *options).exit_code == 2


def test_a_store_in_postgresql_has_its_decisions_beside_its_snapshots(
    postgres: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = postgres()
    asked(store)
    (place,) = tmp_path.glob("fgacore/*/decisions")
    for more in ([], ["--log", place]):
        assert "4 decisions in 1 chains: as it was written" in invoke("audit", "verify", "--store", store, *more).output
        assert invoke("audit", "replay", "--store", store, *more).output == "4 decisions, 4 made again as they were, no differences\n"
        assert len(invoke("audit", "show", "--store", store, *more).output.splitlines()) == 4
        assert len(invoke("audit", "head", "--store", store, *more).output.splitlines()) == 1
