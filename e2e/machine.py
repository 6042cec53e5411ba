"""What every part of the test needs of the machine: words on the terminal, commands, waiting with a bound."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

E2E = pathlib.Path(__file__).resolve().parent
WORKSPACE = E2E.parent
# the part in the sandbox is a process of its own and goes on counting
STARTED = float(os.environ.setdefault("E2E_STARTED", str(time.monotonic())))


class Failure(Exception):
    """Something that does not hold; the text says what, and what was seen."""


def say(text):
    print(f"e2e {time.monotonic() - STARTED:6.1f} s  {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def timed(what):
    """Says what begins, and how long it took."""
    say(f"{what} ...")
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")


def run(command, *, timeout, **options):
    """The output of a command that succeeds within so many seconds."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(command[:4])}: not done within {timeout} s") from error
    except FileNotFoundError as error:
        raise Failure(f"{command[0]}: no such program") from error
    if done.returncode != 0:
        text = (done.stderr + done.stdout).strip()[-3000:]
        raise Failure(f"{' '.join(command)}: exit code {done.returncode}: {text}")
    return done.stdout


def wait_for(what, seconds, look, every=0.25):
    """What `look` returns once it is true; a failure that says what it returned last if that takes too long.

    A `look` that fails has seen nothing yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except Failure as failure:
            seen, last = None, str(failure)
        else:
            last = seen
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s; seen last: {last}")
        time.sleep(every)


def expect(holds, what, seen=""):
    if not holds:
        raise Failure(f"{what}: {seen}" if seen != "" else what)


def tail(path, lines=25):
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""
