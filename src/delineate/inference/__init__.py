"""Prediction: preprocessing, windows, the net, and masks on the image's own grid."""
