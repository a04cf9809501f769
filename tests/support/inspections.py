"""What an inspection says of a small classifier and of data for it."""

from __future__ import annotations

from typing import Any

MODEL: dict[str, Any] = {
    "format": "onnx",
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
    "outputs": [{"name": "scores", "dtype": "float32", "shape": ["batch", 3]}],
    "ir_version": 8,
    "opsets": {"ai.onnx": 17},
    "producer": "",
    "parameters": 15,
    "operators": {"Gemm": 1},
    "size_bytes": 400,
    "quantized": False,
    "precision": "float32",
    "control_flow": False,
    "batch_size": None,
    "advice": [],
}
DATASET: dict[str, Any] = {
    "format": "npz",
    "arrays": [{"name": "x", "dtype": "float32", "shape": [100, 4], "size_bytes": 1600, "file": "array_0.npy"}],
    "labels": {"name": "labels", "dtype": "int64", "shape": [100], "size_bytes": 800, "file": "array_1.npy"},
    "label_kind": "integer",
    "count": 100,
    "size_bytes": 2400,
}
