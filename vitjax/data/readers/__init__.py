"""What reads a format from disk, one file each: `vitjax.data.source` chooses among them."""
