"""Images larger than memory: rows in, windows through the net, rows of labels out."""
