"""The bell wakes other processes at once, and no content or state of its file does harm."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from fgacore.formats import BELL_MAGIC
from fgacore.store.bell import Bell, News, wait_readable

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bell"


def ring_later(path: str, revision: int, seconds: float) -> None:
    bell = Bell(path, True)
    time.sleep(seconds)
    bell.ring(revision)


def test_a_ring_in_another_process_ends_a_wait(path: Path) -> None:
    bell = Bell(path, True)
    news = News()
    other = SPAWN.Process(target=ring_later, args=(str(path), 5, 0.1))
    other.start()
    news.revision = 4
    assert bell.wait(news, 30) is True
    assert news.is_behind is True
    assert bell.revision == 5
    other.join()


def test_what_was_seen_is_no_news(path: Path) -> None:
    bell, other = Bell(path, True), Bell(path, True)
    other.ring(5)
    news = News()
    news.revision = 5
    assert bell.wait(news, 0.01) is False
    assert news.is_behind is False
    assert bell.wait(News(4), 0) is True
    assert bell.wait(News(4), 0.01) is False  # one state is reported once: who was told looks at the log
    other.ring(3)
    assert bell.revision == 5  # it only grows
    other.ring(6)
    assert bell.wait(News(5), 0) is True


def test_a_bell_rung_before_it_was_opened_is_heard(path: Path) -> None:
    Bell(path, True).ring(9)
    assert Bell(path, True).wait(News(8), 0) is True


def test_wake_ends_the_wait_of_its_own_process(path: Path) -> None:
    for writable in (True, False):
        bell = Bell(path, writable)
        waiter = threading.Timer(0.05, bell.wake)
        waiter.start()
        started = time.monotonic()
        assert bell.wait(News(0), 30) is False
        assert time.monotonic() - started < 10
        waiter.join()
        assert bell.wait(News(0), 0.01) is False


def test_a_bell_that_is_only_read_hears_and_does_not_ring(path: Path) -> None:
    bell = Bell(path, True)
    reader = Bell(path, False)
    reader.ring(3)
    assert bell.revision == 0
    threading.Timer(0.05, bell.ring, (4,)).start()
    assert reader.wait(News(3), 30) is True


def test_a_missing_bell_is_an_error_unless_it_may_be_made(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Bell(path, False)
    Bell(path, True)
    assert path.stat().st_size == 64
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"fga", b"\xff" * 64, b"x" * 10_000, BELL_MAGIC, BELL_MAGIC + b"\xff" * 56])
def test_any_content_of_the_file_is_harmless(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    bell = Bell(path, True)
    if bell.revision:  # it claims more than was ever written: it is believed once
        assert bell.wait(News(10), 0) is True
    assert bell.wait(News(10), 0.01) is False
    threading.Timer(0.05, Bell(path, True).ring, (11,)).start()
    assert bell.wait(News(10), 30) is True


def test_a_file_that_is_cut_short_beneath_is_no_signal(path: Path) -> None:
    bell = Bell(path, True)
    os.truncate(path, 0)
    bell.ring(1)
    assert bell.wait(News(0), 0.01) in (True, False)
    bell.wake()
    assert bell.wait(News(0), 0.01) is False
    assert Bell(path, True).wait(News(0), 0.01) is False


def test_a_bell_that_is_no_bell_is_not_read(path: Path) -> None:
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(OSError, match="no bell"):
        Bell(path, False)


def test_closed_bells_do_nothing(path: Path) -> None:
    bell = Bell(path, True)
    bell.close()
    bell.close()
    bell.ring(1)
    bell.wake()
    assert bell.wait(News(0), 30) is False
    assert bell.revision == 0


def test_of_two_descriptors_it_is_said_which_can_be_read() -> None:
    (first, to_first), (second, to_second) = os.pipe(), os.pipe()
    news = News()
    try:
        assert wait_readable(first, second, 0.01, news) == 0
        os.write(to_second, b"x")
        assert wait_readable(first, second, 5, news) == 2
        assert news.is_behind is False
        os.write(to_first, b"x")
        assert wait_readable(first, second, 5, news) == 3
        assert news.is_behind is True
    finally:
        for each in (first, to_first, second, to_second):
            os.close(each)
