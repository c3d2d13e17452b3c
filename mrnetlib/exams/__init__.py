"""Exams as arrays: MRNet's layout, grey scales, banks of slices."""
