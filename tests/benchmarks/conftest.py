"""The benchmarks are no part of the package; its root is put where `import benchmarks` finds it, however pytest was started."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
