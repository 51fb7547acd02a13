"""What is wrong with a dataset, told before anyone trains on it."""
