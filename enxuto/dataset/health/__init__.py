"""What is wrong with calibration and evaluation samples, or may be: both are read once, in memory that stays flat."""
