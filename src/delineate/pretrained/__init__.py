"""Weights from elsewhere to begin a training from: files that the user has, read without running anything."""
