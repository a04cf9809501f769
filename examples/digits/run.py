"""Runs a digits network once with plain ONNX Runtime: `python run.py MODEL`. Enxuto is not needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime

SHADES = " .:-=+*#%"


def main() -> None:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    with np.load(Path(__file__).parent / "evaluation.npz") as data:
        scan, label = data["image"][0], data["labels"][0]
    image = (scan.astype(np.float32) / 16).transpose(2, 0, 1)[np.newaxis]

    (scores,) = session.run(None, {"image": image})
    print("\n".join("    " + "".join(SHADES[pixel // 2] * 2 for pixel in row) for row in scan[..., 0]))
    print(f"The network says {scores.argmax()}; the label is {label}.")
    if "enxuto" in sys.modules:
        raise SystemExit("Enxuto was imported, so this proves nothing.")


if __name__ == "__main__":
    main()
