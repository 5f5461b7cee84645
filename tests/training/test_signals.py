import os
import signal
import time

import pytest

from vidtx.training import StopSignal


@pytest.fixture
def outer():
    """Names of the signals that reach the handlers from before."""
    reached = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {
        number: signal.signal(number, lambda n, _: reached.append(signal.Signals(n).name))
        for number in numbers
    }
    yield reached
    for number, handler in previous.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_first_signal_is_noted(outer, name):
    with StopSignal() as stop:
        assert stop.received is None
        assert not stop.reached()
        send(signal.Signals[name])
        assert stop.received == name
        assert stop.reached()
    assert outer == []


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_the_second_meets_the_handler_from_before(outer, second):
    with StopSignal() as stop:
        send(signal.SIGTERM)
        time.sleep(1.1)
        send(signal.Signals[second])
        assert stop.received == "SIGTERM"
        assert outer == [second]


def test_one_signal_that_comes_twice_is_one(outer):
    """From a scheduler that signals a whole process group, and from a parent that passes it on."""
    with StopSignal() as stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert stop.reached()
    assert outer == []


def test_handlers_are_put_back(outer):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal() as stop:
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    send(signal.SIGTERM)
    assert outer == ["SIGTERM"]
    assert stop.received is None


def test_handlers_are_put_back_after_an_error(outer):
    with pytest.raises(ValueError, match="inside"), StopSignal():
        raise ValueError("inside")
    send(signal.SIGINT)
    assert outer == ["SIGINT"]
