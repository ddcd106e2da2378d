"""Galaxy Zoo 2: galaxies by shape, in the fixed splits of published label files.

155,951 RGB images of 424x424 pixels in 8 classes. The label files name galaxies by the number that
is their image's file name in the archive (galaxyID there, asset_id in Galaxy Zoo's own tables).
"""

from vitjax.data.readers.galaxy_zoo2.archive import locate_images
from vitjax.data.readers.galaxy_zoo2.labels import CLASS_NAMES, find_labels, read_tables

__all__ = ["CLASS_NAMES", "find_labels", "locate_images", "read_tables"]
