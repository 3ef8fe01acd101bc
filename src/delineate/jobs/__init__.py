"""The main jobs from start to end: train, evaluate, predict, demo; the command line is a layer over them."""
