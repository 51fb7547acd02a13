"""A process that trains in children which it kills: once whole, then again and again until a run is through.

Run as `python -m tests.training.killed FOLDER HOW`; prints how many children were killed. Children are forked from a
process that has taken a step already, on one thread, so that each begins within milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a forked child could not use a device that its parent has begun with

import torch

from nerface import files
from nerface.data import load_dataset
from nerface.training.loop import train
from tests.data.make import write_tiny_dataset
from tests.toys import toy_run

CONFIG = toy_run(steps=50, log_every=3, validate_every=7, save_every=1)
MOST_TRIES = 400


def train_once(folder: Path, name: str) -> None:
    """Train as far as one gets. Whatever is there is resumed, as `create` does."""
    train(load_dataset(folder / "person"), folder / name, CONFIG, resume=True)


def child(work: Callable[[], None], patience: float | None) -> bool:
    """Do `work` in a child, killed after `patience` seconds; whether it got through."""
    number = os.fork()
    if number == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    if patience is not None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            done, status = os.waitpid(number, os.WNOHANG)
            if done:
                return _through(status)
            time.sleep(0.001)
        os.kill(number, signal.SIGKILL)
    return _through(os.waitpid(number, 0)[1])


def _through(status: int) -> bool:
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit("a child failed")
    return os.WIFEXITED(status)


def deadly_write(at: int) -> None:
    """From now on the `at`-th file written is the last: the kill comes before, within or after its renaming."""
    writes = 0
    rename = files.os.replace

    def deadly(source: Path, target: Path) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            if at % 3 == 0:
                content = Path(source).read_bytes()
                Path(source).write_bytes(content[: len(content) // 2])
            elif at % 3 == 1:
                rename(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    files.os.replace = deadly


def main(folder: Path, how: str) -> int:
    """How many children were killed before the run was through."""
    torch.set_num_threads(1)
    write_tiny_dataset(folder / "person")
    train(load_dataset(folder / "person"), folder / "warm", replace(CONFIG, training=replace(CONFIG.training, steps=1)))
    started = time.monotonic()
    assert child(lambda: train_once(folder, "whole"), None)
    whole = time.monotonic() - started
    chance = random.Random(0)
    for kills in range(MOST_TRIES):
        if how == "at writes":
            at = chance.randint(1, 9)

            def work(at: int = at) -> None:
                deadly_write(at)
                train_once(folder, "run")

            through = child(work, None)
        else:
            through = child(lambda: train_once(folder, "run"), chance.uniform(0.05, 0.3) * whole * 1.03**kills)
        if through:
            return kills
    raise SystemExit("the run never got through")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), sys.argv[2]))
