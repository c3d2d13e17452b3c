"""From banks of slices to trained networks and their predictions."""
