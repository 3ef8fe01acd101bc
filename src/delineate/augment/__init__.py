"""Paired augmentation of whole batches, on the device the batch is on."""
