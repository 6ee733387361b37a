"""Run by d3rlpy's own Python: load a file, say what is in it, train a little. Prints JSON last."""

from __future__ import annotations

import json
import sys


def main(path: str) -> None:
    import d3rlpy  # type: ignore[import-not-found,unused-ignore]  # in its own environment only

    with open(path, "rb") as file:
        buffer = d3rlpy.dataset.ReplayBuffer.load(file, d3rlpy.dataset.InfiniteBuffer())
    algorithm = d3rlpy.algos.DiscreteCQLConfig(batch_size=4).create(device="cpu:0")
    history = algorithm.fit(
        buffer,
        n_steps=4,
        n_steps_per_epoch=4,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    episodes = buffer.episodes
    found = {
        "terminated": [bool(one.terminated) for one in episodes],
        "lengths": [one.size() for one in episodes],
        "transitions": int(buffer.transition_count),
        "returns": [one.compute_return() for one in episodes],
        "actions": [one.actions[:, 0].tolist() for one in episodes],
        "action_size": int(buffer.dataset_info.action_size),
        "trained": len(history) == 1,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
