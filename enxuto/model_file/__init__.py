"""Opens a model file safely and says what it is."""

from enxuto.model_file.inspect import inspect_model

__all__ = ["inspect_model"]
