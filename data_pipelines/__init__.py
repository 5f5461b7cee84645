"""Videos to TFDS shards, and shards to batches of clips. NumPy only; imports nothing of vidtx."""
