"""vitjax: small and efficient image classifiers in JAX and Flax."""

__version__ = "0.1.0"
