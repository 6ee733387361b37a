"""How long the packages take to import, in processor time of a fresh process.

python benchmarks/imports.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

_RUNS = 11
_CODE = "import time\nbegan = time.process_time()\nimport {}\nprint(time.process_time() - began)"


def seconds(package: str) -> list[float]:
    """Processor seconds of importing a package, once for each of some fresh processes."""
    command = [sys.executable, "-c", _CODE.format(package)]
    return [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(_RUNS)
    ]


if __name__ == "__main__":
    print("| package | median, ms | least to most, ms |\n| --- | --- | --- |")
    for package in ("nurture_rl", "nurture_envs"):
        found = [1000.0 * one for one in seconds(package)]
        print(
            f"| {package} | {statistics.median(found):.0f} | {min(found):.0f} to {max(found):.0f} |"
        )
