"""Work beside the caller's: its lines and its result reach the caller's thread, and nobody is left behind."""

import threading

import pytest

from orchestrator.checks.beside import Beside


def test_its_lines_are_told_by_the_thread_that_waits_and_its_result_can_be_asked_for_twice():
    told: list[tuple[str, int]] = []

    def work(say):
        say("one")
        say("two")
        return threading.get_ident()

    with Beside(work) as other:
        elsewhere = other.result(lambda line: told.append((line, threading.get_ident())))
        assert other.result(lambda line: told.append((line, 0))) == elsewhere
    assert elsewhere != threading.get_ident()
    assert told == [("one", threading.get_ident()), ("two", threading.get_ident())]


def test_what_it_raises_is_raised_where_it_is_waited_for():
    def work(say):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), Beside(work) as other:
        other.result(print)


def test_a_block_that_is_left_by_an_error_stops_it_and_waits_for_its_end():
    given_up, ended = threading.Event(), []

    def work(say):
        given_up.wait()
        ended.append(True)

    with pytest.raises(KeyboardInterrupt), Beside(work, given_up.set):
        raise KeyboardInterrupt
    assert ended == [True]
