"""Pretrained encoders as feature sets: the weights come from the user as a folder or file, nothing is downloaded."""
