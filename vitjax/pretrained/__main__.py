"""Lists the catalogue of published weights.

python -m vitjax.pretrained

Their names are values of --config.finetune.weights, besides files, folders, runs and
hub:OWNER/REPO.
"""

from vitjax import cli


def main() -> int:
    """Runs the command; returns its exit code."""
    from vitjax.pretrained.catalog import table

    print(table())
    return 0


if __name__ == "__main__":
    cli.run(main)
