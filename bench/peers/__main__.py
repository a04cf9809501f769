"""Install the peers that ``bench.ahead`` measures us beside, each in an environment of its own.

    python -m bench.peers install FOLDER [--only NAME ...]
    python -m bench.peers list FOLDER

Packages come from wherever pip is set up to look. Peers differ in the versions that they want: none goes into ours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from bench.peers.listed import PEERS, Peer, python_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["install", "list"])
    parser.add_argument("folder", type=Path, help="where the environments are, or go")
    parser.add_argument("--only", nargs="*", choices=[peer.name for peer in PEERS])
    given = parser.parse_args()
    wanted = [peer for peer in PEERS if not given.only or peer.name in given.only]
    if given.action == "list":
        for peer in wanted:
            there = "there" if python_of(peer, given.folder).is_file() else "not installed"
            print(f"{peer.name:18s} {there:14s} {', '.join(method.name for method in peer.methods)}")
        return 0
    missing = [peer.name for peer in wanted if not _installed(peer, given.folder)]
    print(f"not installed: {', '.join(missing)}" if missing else "all of them are there")
    return 1 if missing else 0


def _installed(peer: Peer, folder: Path) -> bool:
    python = python_of(peer, folder)
    if not python.is_file():
        venv.create(folder / peer.name, with_pip=True)
    print(f"{peer.name}: {python}", flush=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", peer.requirements], check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
