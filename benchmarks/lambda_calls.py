"""What the engine on AWS Lambda costs a task, on AWS's own runtime emulator on loopback: no network, no cold image.

    make .venv/rie && .venv/bin/python -m benchmarks.lambda_calls [--json FILE]

The peer is the emulator with AWS's runtime interface client asked directly, with the same event and handler.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.table import Row, markdown
from cbtool.backends.aws_lambda.engine import Lambda
from cbtool.batching import Batched
from cbtool.contracts import Backend, EngineSettings
from cbtool.runner import run_tasks
from tests.lambda_front import Front, front, settings_file

ECHO = {"call": "tests.backends.worker_targets:echo", "n": 1}
N_LANES = 2
N_SERIAL = 200
N_TASKS = 1000


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def call(backend: Backend) -> None:
    assert "result" in backend.submit(ECHO).result(60)


def round_of(folder: Path) -> dict[str, float]:
    """Measure everything once, in seconds, on emulators that have run nothing yet."""
    event = json.dumps({"task": ECHO}).encode()
    with front(folder, N_LANES) as one:
        backend = Lambda(EngineSettings(N_LANES, settings_file(one, folder)))
        try:
            found = {
                "first, peer": seconds(lambda: one.lanes[0].invoke(event)),
                "first": seconds(lambda: call(backend)),
                "warm": statistics.median(seconds(lambda: call(backend)) for _ in range(N_SERIAL)),
                "warm, peer": statistics.median(seconds(lambda: one.lanes[0].invoke(event)) for _ in range(N_SERIAL)),
            }
            for name, per_call in (("1 a call", 1), ("auto", None)):
                found |= many(backend, one, name, per_call)
        finally:
            backend.close()
    return found


def many(backend: Lambda, one: Front, name: str, per_call: int | None) -> dict[str, float]:
    engine: Backend = backend if per_call == 1 else Batched(backend, per_call, N_TASKS)
    before = one.invocations()
    taken = seconds(lambda: all_done(list(run_tasks([ECHO] * N_TASKS, engine))))
    return {name: taken, f"{name}, calls": one.invocations() - before}


def all_done(outcomes: Sequence[Any]) -> None:
    assert len(outcomes) == N_TASKS and not any(one.error for one in outcomes)


def rows(found: dict[str, float]) -> list[Row]:
    def ms(value: float) -> str:
        return f"{value * 1e3:.3g} ms"

    made = [
        Row(
            f"{what} call",
            "emulator alone",
            "wall",
            ms(found[key]),
            ms(found[f"{key}, peer"]),
            found[key] / found[f"{key}, peer"],
            None,
        )
        for what, key in (("first", "first"), ("warm", "warm"))
    ]
    for name in ("1 a call", "auto"):
        work = f"{N_TASKS} tiny tasks, {name}: {found[f'{name}, calls']:.0f} calls"
        made.append(
            Row(work, "", "wall", f"{found[name]:.3g} s", "", found[name] / N_TASKS * 1e3, None, unit="ms/task")
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    arguments = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    rounds, loads = [], []
    for _ in range(arguments.rounds):
        loads.append(machine.load())
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(round_of(Path(folder)))
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    facts = machine.facts()
    print(f"{facts['cpu']}, {facts['cores']} cores; load before each round: {', '.join(f'{one:.1f}' for one in loads)}")
    print(f"medians of {arguments.rounds} rounds; {N_LANES} lanes\n")
    print(markdown(rows(found)))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "load": loads, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
