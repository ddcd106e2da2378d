"""Lists the catalogue of published weights.

python -m vitjax.pretrained

Their names are values of --config.finetune.weights, besides files, folders, runs and
hub:OWNER/REPO.
"""

import sys
from collections.abc import Sequence

from vitjax import cli


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)

    def main() -> int:
        from vitjax.pretrained.catalog import table

        print(table())
        return 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
