"""One exam read by a study's networks: what they say, where they see it, how far to trust them."""
