"""Draws galaxies, with label files in the format of Galaxy Zoo 2.

python tests/draw_galaxies.py OUT --count=2000
"""

import argparse
import sys
from pathlib import Path

from vitjax.data.readers.galaxy_zoo2.synthetic import write


def main(argv: list[str]) -> None:
    """Draws what the words say."""
    parser = argparse.ArgumentParser(description="Draws galaxies with labels as Galaxy Zoo 2 has.")
    parser.add_argument("folder", type=Path, help="gets images/ and gz2_{train,valid,test}.csv")
    parser.add_argument("--count", type=int, default=2000, help="galaxies in all (2000)")
    parser.add_argument("--seed", type=int, default=0, help="another one draws others (0)")
    words = parser.parse_args(argv)
    write(words.folder, words.count, words.seed)
    print(f"{words.count:,} galaxies in {words.folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
