"""The bench of large models applies recipes as a job does; a small model stands for one here."""

from __future__ import annotations

from pathlib import Path

from bench.large.__main__ import row
from bench.large.models import make_products


def test_a_recipe_is_a_row_with_what_it_left_and_took(tmp_path: Path) -> None:
    path = make_products(tmp_path, 1e6, width=256)
    name, out_gb, beside, peak, _, took_s = row("weight_only", path, 1_000_000).split()
    assert (name, out_gb, beside) == ("weight_only", "0.00", "0")
    assert float(peak.removesuffix("×")) > 1
    assert float(took_s) > 0
