"""MABWiser and Vowpal Wabbit in their own environment: rows taken in and contexts decided.

python bandit_rows.py ARRAYS.npz RUNS CALLS DECIDED

Prints rows a second of each run, by processor time and by the clock.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import vowpalwabbit
from mabwiser.mab import MAB, LearningPolicy


def timed(rows, work, runs):
    found = []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        found.append([rows / (time.process_time() - cpu), rows / (time.perf_counter() - began)])
    return found


def mabwiser(x, action, returns, actions, runs, calls, decided):
    found = {}
    for name, policy in (
        ("LinUCB", LearningPolicy.LinUCB(alpha=1.0)),
        ("Thompson (1 draw)", LearningPolicy.LinTS(alpha=1.0)),
    ):
        bandit = MAB(list(range(actions)), policy)
        bandit.fit(action, returns, x)
        if name == "LinUCB":
            found["MABWiser: add rows, all in one call"] = timed(
                len(x), lambda bandit=bandit: bandit.partial_fit(action, returns, x), runs
            )

            def each(bandit=bandit):
                for row in range(calls):
                    part = slice(row, row + 1)
                    bandit.partial_fit(action[part], returns[part], x[part])

            found["MABWiser: add rows, a call each"] = timed(calls, each, runs)
        found[f"MABWiser: decide, {name}"] = timed(
            decided, lambda bandit=bandit: bandit.predict(x[:decided]), runs
        )
    return found


def vowpal(x, action, returns, actions, runs, calls, decided):
    """Text examples, made outside the clock; its learner is a gradient step, not a linear solve."""
    texts = [" ".join(f"{i}:{v:.6g}" for i, v in enumerate(row)) for row in x[:calls]]
    costs = zip(action[:calls] + 1, -returns[:calls], texts, strict=True)
    lines = [f"{a}:{cost:.6g}:{1.0 / actions:.6g} | {text}" for a, cost, text in costs]
    space = vowpalwabbit.Workspace(f"--cb_explore {actions} --bag 5 --quiet")

    def learn():
        for line in lines:
            space.learn(line)

    def predict():
        for text in texts[:decided]:
            space.predict(f"| {text}")

    found = {"Vowpal Wabbit: learn rows, a call each (bag of 5)": timed(len(lines), learn, runs)}
    found["Vowpal Wabbit: decide (bag of 5)"] = timed(min(decided, len(texts)), predict, runs)
    return found


def main(path, runs, calls, decided):
    given = np.load(path)
    x, action = given["x"].astype(np.float64), given["action"]
    rest = (given["returns"], int(given["actions"]), runs, calls, decided)
    print(json.dumps(mabwiser(x, action, *rest) | vowpal(x, action, *rest)))


if __name__ == "__main__":
    main(sys.argv[1], *(int(one) for one in sys.argv[2:5]))
