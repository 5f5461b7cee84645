"""Augmentation of whole clips on the host, each one draw for all frames."""
