"""Opens datasets safely, and reads their samples in an order drawn by seed, prepared as a model wants them."""

from enxuto.dataset.batches import SampleBatches
from enxuto.dataset.feeds import feeds_for
from enxuto.dataset.inspect import inspect_dataset

__all__ = ["SampleBatches", "feeds_for", "inspect_dataset"]
