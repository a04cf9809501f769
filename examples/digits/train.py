"""Trains the demo's network on scikit-learn's scans of handwritten digits and writes the files beside this script.

Needs what Enxuto itself does not: ``pip install torch==2.13.0 scikit-learn onnx onnx-ir onnxscript``. Takes a few
minutes on one core: ``python examples/digits/train.py``. The README beside it says what comes out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

SEED = 0
TRAINING_SAMPLES = 650
CALIBRATION_SAMPLES = 200
EPOCHS = 60
BATCH = 50
PIXEL_MAX = 16
HERE = Path(__file__).parent


class Block(nn.Module):
    """Two convolutions around which the input is carried past and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), nn.ReLU(), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))


def network() -> nn.Sequential:
    """Scores of ten digits for images of 8 by 8 pixels between 0 and 1: 1.07 million weights."""
    return nn.Sequential(
        convolution(1, 64), nn.ReLU(),
        convolution(64, 128), nn.ReLU(),
        Block(128), Block(128), Block(128),
        nn.MaxPool2d(2),
        convolution(128, 96), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, 10),
    )  # fmt: skip


def distorted(images: Tensor) -> Tensor:
    """Each image turned, scaled, sheared, shifted and bent a little, each in a way of its own."""
    count = len(images)
    angle = torch.empty(count).uniform_(-0.22, 0.22)
    scale = torch.empty(count, 2).uniform_(0.88, 1.12)
    shear = torch.empty(count).uniform_(-0.15, 0.15)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = angle.cos() * scale[:, 0], shear - angle.sin()
    affine[:, 1, 0], affine[:, 1, 1] = angle.sin(), angle.cos() * scale[:, 1]
    affine[:, :, 2].uniform_(-0.2, 0.2)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    bend = F.interpolate(torch.randn(count, 2, 3, 3) * 0.06, size=8, mode="bicubic", align_corners=True)
    return F.grid_sample(images, grid + bend.permute(0, 2, 3, 1), align_corners=False)


def train(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    rounds = -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=EPOCHS * rounds, pct_start=0.2)
    model.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for chosen in torch.randperm(len(images)).split(BATCH):
            loss = F.cross_entropy(model(distorted(images[chosen])), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {total / len(images):.4f}", flush=True)
    model.eval()


def export(model: nn.Module, path: Path) -> None:
    """Write one ONNX file with a free batch axis, and without the exporter's notes, which name this machine's paths."""
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 8, 8),),
        dynamo=True,
        opset_version=20,
        input_names=["image"],
        output_names=["scores"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    if program is None:
        raise RuntimeError("the exporter returned no program")
    ClearMetadataAndDocStringPass()(program.model)
    for value in (*program.model.graph.inputs, *program.model.graph.outputs):
        value.metadata_props.clear()
    ir.save(program.model, path)


def main() -> None:
    torch.manual_seed(SEED)
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    pixels = digits.images[order].astype(np.uint8)[..., None]
    labels = digits.target[order].astype(np.int64)
    images, targets = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / PIXEL_MAX, torch.from_numpy(labels)

    model = network()
    train(model, images[:TRAINING_SAMPLES], targets[:TRAINING_SAMPLES])
    with torch.inference_mode():
        right = (model(images[TRAINING_SAMPLES:]).argmax(1) == targets[TRAINING_SAMPLES:]).float().mean().item()
    print(f"{right:.2%} of the samples that it was not trained on")

    export(model, HERE / "digits.onnx")
    for name, part in (("calibration", slice(CALIBRATION_SAMPLES)), ("evaluation", slice(TRAINING_SAMPLES, None))):
        np.savez_compressed(HERE / f"{name}.npz", image=pixels[part], labels=labels[part])


if __name__ == "__main__":
    main()
