"""A trained run as a function from images to classes, and measured on a split."""
