"""Scenes computed from the physics of each sensor: what comes as sample data beside real pictures.

Each scene is made from a seed by a legacy generator of numpy, whose streams are frozen, so that it is the same under
every version. Sines and exponentials differ in their last bit between processors: a stored value may differ by one
count where it was rounded the other way.
"""

from napari_simmat.images.simulate.bench import PARTS_FOCAL_LENGTH, PARTS_SETS, parts_scene
from napari_simmat.images.simulate.camouflage import CAMOUFLAGE_CHANNELS, CAMOUFLAGE_SETS, camouflage_scene
from napari_simmat.images.simulate.field import SEEDLING_CHANNELS, SEEDLING_SETS, field_scene
from napari_simmat.images.simulate.glass import GLASS_SETS, glass_scene
from napari_simmat.images.simulate.herd import WARM_SETS, herd_scene
from napari_simmat.images.simulate.metamers import WAVELENGTHS
from napari_simmat.images.simulate.painting import METAMER_SETS, REFLECTANCE_SCALE, painting_scene

__all__ = [
    "CAMOUFLAGE_CHANNELS",
    "CAMOUFLAGE_SETS",
    "GLASS_SETS",
    "METAMER_SETS",
    "PARTS_FOCAL_LENGTH",
    "PARTS_SETS",
    "REFLECTANCE_SCALE",
    "SEEDLING_CHANNELS",
    "SEEDLING_SETS",
    "WARM_SETS",
    "WAVELENGTHS",
    "camouflage_scene",
    "field_scene",
    "glass_scene",
    "herd_scene",
    "painting_scene",
    "parts_scene",
]
