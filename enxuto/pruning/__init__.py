"""Weights that go."""
