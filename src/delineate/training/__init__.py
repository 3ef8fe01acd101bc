"""Training: batches, the loop, checkpoints, and steps measured to fit a time budget."""
