# The public names, each from its module: read by type checkers, and by lazy_loader when a name is first used.

from .data.cohort.cohort import Cohort as Cohort
from .data.geometry import Geometry as Geometry
from .data.images.image import MedicalImage as MedicalImage
from .data.images.image import read_image as read_image
from .data.landmarks import LandmarkSchema as LandmarkSchema
from .data.landmarks import LandmarkSet as LandmarkSet
from .data.study.study import Study as Study
from .detection.inference.folder import detect_folder as detect_folder
from .detection.model.landmark_model import LandmarkModel as LandmarkModel
from .detection.model.store import load_model as load_model
from .detection.template_selection import suggest as suggest
from .detection.training.options import TrainingOptions as TrainingOptions
from .detection.training.train import train as train
from .metrics import evaluate as evaluate
from .registration.model import RegistrationModel as RegistrationModel
from .registration.options import PairOptions as PairOptions
from .registration.options import RegistrationOptions as RegistrationOptions
from .registration.pairwise.register import register_pair as register_pair
from .registration.training.train import train_registration as train_registration
from .registration.transform.transform import Transform as Transform

__version__: str
__all__: list[str]
