"""Nets that Keras saved, read with h5py and json alone: no TensorFlow, and nothing in a file is run."""

from delineate.pretrained.keras.found import FoundUNet, Hints, ImportedNet
from delineate.pretrained.keras.reading import read_keras

__all__ = ["FoundUNet", "Hints", "ImportedNet", "read_keras"]
