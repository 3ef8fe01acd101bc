"""Stop requests: the first signal asks, the second insists, and what was set before comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from delineate.interruption import stop_requests

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_is_noted_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in BOTH]
    with stop_requests() as request:
        assert request.signal_number is None
        os.kill(os.getpid(), number)
        assert request.signal_number == number
    assert [signal.getsignal(one) for one in BOTH] == before


def test_the_handlers_come_back_after_an_error_too() -> None:
    before = [signal.getsignal(one) for one in BOTH]
    with pytest.raises(ValueError, match="inside"), stop_requests():
        raise ValueError("inside")
    assert [signal.getsignal(one) for one in BOTH] == before


def test_a_second_ctrl_c_ends_at_once() -> None:
    before = [signal.getsignal(one) for one in BOTH]
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert request.signal_number == signal.SIGINT
    assert [signal.getsignal(one) for one in BOTH] == before


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("second", BOTH)
def test_a_second_signal_ends_at_once_whichever_came_first(
    first: signal.Signals, second: signal.Signals
) -> None:
    program = (
        "import os\n"
        "from delineate.interruption import stop_requests\n"
        "with stop_requests():\n"
        f"    os.kill(os.getpid(), {int(first)})\n"
        "    print('asked', flush=True)\n"
        f"    os.kill(os.getpid(), {int(second)})\n"
        "    print('went on', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "asked\n"
    assert done.returncode == -second


def test_another_thread_catches_nothing_and_still_works() -> None:
    before = [signal.getsignal(one) for one in BOTH]
    found: list[object] = []

    def work() -> None:
        with stop_requests() as request:
            found.append([signal.getsignal(one) for one in BOTH])
            found.append(request.signal_number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, None]
