"""What integer products come to on processors that add pairs of them in 16 bits, worked out on any processor."""
