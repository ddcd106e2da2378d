"""The names and layouts of other libraries' weights, a file each."""
