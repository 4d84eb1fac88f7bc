"""What fgacore costs, measured: scenarios with right answers, a floor, peers, threads and writes.

Start with README.md. `python -m benchmarks` runs everything.
"""
