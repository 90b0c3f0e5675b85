"""``python -m tests.chaos``: as many episodes as fit. The seed is printed; with --episode one of them is run again."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

from .episode import Report, run

EPISODE_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--box-s", type=float, default=60_000.0, help="how long the boxes live, all together")
    parser.add_argument("--bound-s", type=float, default=300.0, help="how long this may take")
    parser.add_argument("--episode", type=int, help="this one alone, with all that happened")
    options = parser.parse_args()
    logging.getLogger("appliance").setLevel(logging.CRITICAL if options.episode is None else logging.INFO)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    print(f"seed {options.seed}", flush=True)
    if options.episode is not None:
        report = run(f"{options.seed}.{options.episode}", EPISODE_S)
        print("\n".join(report.trace))
        _complain(report)
        return 1 if report.troubles else 0
    began_s, box_s, turns, answered, bad, number = time.monotonic(), 0.0, 0, 0, 0, 0
    while box_s < options.box_s and time.monotonic() - began_s < options.bound_s:
        report = run(f"{options.seed}.{number}", EPISODE_S)
        box_s, turns, answered = box_s + report.box_s, turns + report.turns, answered + report.answered
        if report.troubles:
            bad += 1
            _complain(report)
        number += 1
    took_s = time.monotonic() - began_s
    print(
        f"{number} boxes, {box_s:.0f} s of their time in {took_s:.0f} s: {turns} turns, {answered} answered, {bad} bad"
    )
    return 1 if bad else 0


def _complain(report: Report) -> None:
    for trouble in dict.fromkeys(report.troubles):
        print(f"{report.name}: {trouble}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
