"""The examples in Python: gRPC services that know the contract and their domain."""

import sys
from pathlib import Path

# The stubs, which generate.py makes.
sys.path.append(str(Path(__file__).resolve().parents[1] / "generated"))
