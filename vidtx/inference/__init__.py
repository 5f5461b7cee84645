"""Trained weights put to use: loaded, converted."""
