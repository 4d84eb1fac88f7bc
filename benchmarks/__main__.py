"""Everything in turn, as `make bench` does it: scenarios and sweeps, the comparison, conditions, lists, sessions, threads and writes, a large store
on disk, then one summary and its plots.

    python -m benchmarks [--named] [--openfga URL] [--tuples-max 1000000] [--size 1000000]
                         [--only scenarios,sweeps,compare,conditions,lists,agents,threads,scale]

Each part is a process of its own, so that none inherits another's memory. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from .machine import RESULTS, ROOT

PARTS = ("scenarios", "sweeps", "compare", "conditions", "lists", "agents", "threads", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--named", action="store_true", help="also the named engines that are installed (the extra `bench`)")
    parser.add_argument("--openfga", metavar="URL", default=os.environ.get("FGACORE_OPENFGA_URL"), help="with --named: also an OpenFGA server")
    parser.add_argument("--tuples-max", default="1000000", help="largest store of the sweeps (default: %(default)s; up to 10000000)")
    parser.add_argument("--size", default="1000000", help="tuples of the large store (default: %(default)s; docs/performance.md has 10000000)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    options = parser.parse_args()
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}")
    RESULTS.mkdir(exist_ok=True)
    engines = ["--named"] * options.named + (["--openfga", options.openfga] if options.named and options.openfga else [])
    for part in ("scenarios", "sweeps"):
        if part in options.only:
            own = [f"--benchmark-json={RESULTS / f'{part}.json'}", f"--tuples-max={options.tuples_max}", f"benchmarks/test_{part}.py"]
            run("pytest", "-q", "-p", "no:cacheprovider", "--benchmark-quiet", *engines, *own)
    only = ["--named"] * options.named
    more = {"compare": engines, "conditions": only, "lists": only, "scale": ["--size", options.size]}
    for part in ("compare", "conditions", "lists", "agents", "threads", "scale"):
        if part in options.only:
            run(f"benchmarks.{part}", "--json", str(RESULTS / f"{part}.json"), *more.get(part, ()))
    run("benchmarks.report")
    run("benchmarks.plot", "--from", str(RESULTS / "summary.json"), "--to", str(RESULTS))


def run(module: str, *arguments: str) -> None:
    print(f"\n== {module} {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
