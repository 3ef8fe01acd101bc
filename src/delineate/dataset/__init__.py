"""Data sets: what lies in a folder, what its masks mean, what is wrong with it, how it is divided."""
