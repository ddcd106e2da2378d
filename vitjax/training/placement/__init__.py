"""Where arrays and batches lie: on the devices, in memory, or where they are stored."""
