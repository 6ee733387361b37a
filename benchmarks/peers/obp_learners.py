"""Open Bandit Pipeline in its own environment: what its learners earn in its synthetic feedback.

python obp_learners.py FOLDER LOGS ROWS NETWORKS

Writes the arrays of each log to FOLDER and prints {"values": [{learner: expected reward}]}, one a
log. Ten actions and five features, as in its quickstart: the log is a softmax of linear scores,
rewards are clicks with a logistic chance. IPWLearner is given the quickstart's own classifiers.
Networks are left out where NETWORKS is 0; they take most of the time.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from obp.dataset import (
    SyntheticBanditDataset,
    linear_behavior_policy,
    logistic_reward_function,
)
from obp.policy import IPWLearner, NNPolicyLearner
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

ACTIONS, FEATURES, JUDGED = 10, 5, 100_000


def main(folder: str, logs: int, rows: int, networks: bool) -> None:
    warnings.filterwarnings("ignore")
    values = []
    for seed in range(logs):
        data = SyntheticBanditDataset(
            n_actions=ACTIONS,
            dim_context=FEATURES,
            reward_type="binary",
            reward_function=logistic_reward_function,
            behavior_policy_function=linear_behavior_policy,
            random_state=seed,
        )
        log = data.obtain_batch_bandit_feedback(n_rounds=rows)
        test = data.obtain_batch_bandit_feedback(n_rounds=JUDGED)
        np.savez(
            Path(folder) / f"{seed}.npz",
            features=log["context"],
            action=log["action"],
            reward=log["reward"],
            propensity=log["pscore"],
            episode=np.arange(rows),
            step=np.zeros(rows, int),
            test=test["context"],
            expected=test["expected_reward"],
        )
        values.append(earned(log, test, seed, networks))
    print(json.dumps({"values": values}))


def earned(log, test, seed, networks):
    given = {name: log[name] for name in ("context", "action", "reward", "pscore")}
    forest = RandomForestClassifier(n_estimators=30, min_samples_leaf=10, random_state=seed)
    classifiers = {
        "logistic regression": LogisticRegression(C=100, max_iter=1000, random_state=seed),
        "random forest": forest,
    }
    found = {
        "the log": float((log["expected_reward"] * log["pi_b"][:, :, 0]).sum(axis=1).mean()),
        "the best": float(test["expected_reward"].max(axis=1).mean()),
    }
    for name, classifier in classifiers.items():
        learner = IPWLearner(n_actions=ACTIONS, base_classifier=classifier)
        learner.fit(**given)
        found[f"OBP, IPWLearner, {name}"] = value(learner.predict(test["context"]), test)
    for objective in ("ipw", "dr") if networks else ():
        learner = NNPolicyLearner(
            n_actions=ACTIONS,
            dim_context=FEATURES,
            off_policy_objective=objective,
            random_state=seed,
        )
        learner.fit(**given)
        found[f"OBP, NNPolicyLearner, {objective}"] = value(
            learner.predict_proba(test["context"]), test
        )
    return found


def value(table, test):
    return float((table[:, :, 0] * test["expected_reward"]).sum(axis=1).mean())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bool(int(sys.argv[4])))
