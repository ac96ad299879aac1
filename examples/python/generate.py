"""Makes Python of the contract's protos and the examples', in generated/."""

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parents[1] / "proto"
EXAMPLES = HERE.parent / "proto"


def main() -> None:
    protos = [CONTRACT / "angzarr" / "angzarr.proto", *sorted(EXAMPLES.glob("*/*.proto"))]
    # Elsewhere first: who runs meanwhile finds all of it, or what was there.
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".generated") as made:
        roots = [CONTRACT, EXAMPLES, files("grpc_tools") / "_proto"]
        outputs = [f"--python_out={made}", f"--pyi_out={made}", f"--grpc_python_out={made}"]
        if protoc.main(["protoc", *(f"-I{root}" for root in roots), *outputs, *map(str, protos)]):
            sys.exit("the protos cannot be compiled; why is said above")
        shutil.rmtree(HERE / "generated", ignore_errors=True)
        shutil.copytree(made, HERE / "generated")


if __name__ == "__main__":
    main()
