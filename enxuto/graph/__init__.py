"""Reads, writes and edits model graphs, and proves what came out."""
