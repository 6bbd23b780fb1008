"""How networks are trained: batches, the loop, checkpoints, and the models that wrap them."""
