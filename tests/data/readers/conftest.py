"""Drawn galaxies, as they are published and prepared."""

import shutil

import pytest
from galaxies import load

from vitjax.data.readers.galaxy_zoo2 import synthetic


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Label files and images of 60 galaxies, not to be changed."""
    folder = tmp_path_factory.mktemp("drawn")
    synthetic.write(folder, 60)
    return folder


@pytest.fixture
def own(drawn, tmp_path):
    """A copy of them, to be changed."""
    return shutil.copytree(drawn, tmp_path / "own")


@pytest.fixture(scope="session")
def prepared(drawn, tmp_path_factory):
    """A folder with nothing but the prepared set."""
    root = tmp_path_factory.mktemp("prepared")
    shutil.copytree(drawn, root / "downloads" / "manual" / "galaxy_zoo2")
    load(root)
    shutil.rmtree(root / "downloads")
    return root
