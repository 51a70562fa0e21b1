"""Arithmetic on many unit vectors that comes out the same on any machine; knows nothing of what they stand for."""
