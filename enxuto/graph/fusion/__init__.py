"""Recognises what exporters write out in small operators, and writes the one operator that it is."""
