"""Configs of runs: one small file each, with ``get_config(arg=None)``."""
