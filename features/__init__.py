"""Clips to arrays: decoding, faces, audio, datasets and the feature store."""
