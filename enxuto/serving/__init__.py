"""Serving a model: a dynamic batcher, and the simulation that plans how to set it up."""

from enxuto.serving.batcher import Closed, DynamicBatcher, Full

__all__ = ["Closed", "DynamicBatcher", "Full"]
