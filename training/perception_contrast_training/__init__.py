"""Pretrain, adapt, evaluate and export the encoders that the nodes serve."""
