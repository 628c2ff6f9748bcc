#!/usr/bin/env python3
"""octet's library and torch's own quantized_decomposed in one Python process, loaded in either order.

    check_registration.py LIBOCTET [--torch VERSION | --here]

A virtual environment with that torch is made under build/peers (once); --here takes the Python that runs this. It must
be the torch that LIBOCTET was built with.
"""
import argparse
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from environment import run_again  # noqa: E402

LOAD = {
    "octet": "torch.ops.load_library(LIBRARY)",
    "torch": "import torch.ao.quantization.fx._decomposed",
}
# octet asks for its operators as reading a file would; then one of them is called, and one that octet alone has.
USE = """
import ctypes
ctypes.CDLL(LIBRARY)[DEFINE]()
x = torch.tensor([-200.0, -1.5, -0.5, 0.5, 2.5, 400.0])
q = torch.ops.quantized_decomposed.quantize_per_tensor(x, 1.0, 0, -128, 127, torch.int8)
assert q.tolist() == [-128, -2, 0, 0, 2, 127], q
torch.ops.octet.fake_quantize
"""
DEFINE = "_ZN5octet25define_all_late_operatorsEv"  # octet::define_all_late_operators()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--torch", default="2.13.0")
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    if not given.here:
        return run_again(__file__, f"torch-{given.torch}", [f"torch=={given.torch}", "numpy"], [str(given.library)])
    failed = 0
    for order in (["torch", "octet"], ["octet", "torch"], ["octet"]):
        head = f"import torch\nLIBRARY = {str(given.library.resolve())!r}\nDEFINE = {DEFINE!r}\n"
        program = head + "\n".join(LOAD[each] for each in order) + USE
        outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        good = outcome.returncode == 0
        failed += not good
        print(f"{', then '.join(order)}: {'ok' if good else outcome.stderr.strip().splitlines()[-1]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
