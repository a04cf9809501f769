"""Computes nothing for padding: positions that a mask hides from the output."""
