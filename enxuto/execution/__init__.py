"""Runs steps, each in a process of its own inside the sandbox."""
