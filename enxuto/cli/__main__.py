"""``python -m enxuto.cli`` does what ``enxuto`` does."""

from enxuto.cli import main

main()
