"""What the whole embedded stack weighs and how quickly it decides: `python -m benchmarks.demo`.

Runs `athanor demo`, in which one process holds API, worker, agent, the simulated microscope,
model and Athena; Prefect's server is another. Limits: 400 MB resident, 90 s.
"""

import json
import subprocess
import sys

LIMIT_MB = 400
LIMIT_SECONDS = 90


def main() -> int:
    """Measure; return 0 when the limits are kept."""
    done = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "demo", "--json"],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        return done.returncode
    told = json.loads(done.stdout)
    resident, seconds = told["memory_resident_bytes"] / 1e6, told["seconds"]
    print(f"embedded stack without Prefect's server: {resident:.0f} MB (limit {LIMIT_MB})")
    print(f"demo, from start to stop: {seconds:.0f} s (limit {LIMIT_SECONDS})")
    latency = told["latency_seconds"]
    print(
        f"prediction → Athena: p50 {latency['p50_seconds'] * 1e3:.0f} ms, "
        f"p95 {latency['p95_seconds'] * 1e3:.0f} ms (the first wait for their areas)"
    )
    return 0 if resident <= LIMIT_MB and seconds <= LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
