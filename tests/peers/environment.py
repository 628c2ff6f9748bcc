"""What the scripts of this folder share: a Python of their own with the peer's packages, and octet."""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_again(script, name, packages, arguments, python=None):
    """Runs the script again with --here under build/peers/NAME, a Python that has the packages, made once; gives its exit
    status. `python`: the version that they need, "python3.11"."""
    environment = ROOT / "build" / "peers" / name
    own = environment / "bin" / "python"
    if not (environment / "ready").exists():
        base = (python and shutil.which(python)) or sys.executable
        print(f"making {environment.relative_to(ROOT)} (once)", flush=True)
        subprocess.run([base, "-m", "venv", environment], check=True)
        subprocess.run([own, "-m", "pip", "install", "-q", *packages], check=True)
        (environment / "ready").touch()
    return subprocess.run([own, script, "--here", *arguments]).returncode


def octet(program, *arguments):
    """Runs octet; throws with the last line of what it says. Gives its warnings."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
    return [line for line in done.stderr.splitlines() if "warning" in line.lower()]
