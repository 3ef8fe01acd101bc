"""How well a prediction agrees with its reference: overlap, surface distances and intervals."""
