"""Training: losses, optimisers, the compiled step, checkpoints and the loop over them."""
