"""The recipe with one thing changed: what each choice moves."""
