"""Write the sample data to a folder: ``python -m napari_landmark.synthetic FOLDER``."""

import sys
from pathlib import Path

from napari_landmark.synthetic.sample import write_sample_data
from napari_landmark.synthetic.volume_sample import write_sample_volumes


def main(arguments: list[str]) -> int:
    """Write the sample data to the folder in `arguments`; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m napari_landmark.synthetic FOLDER\n")
        return 2
    write_sample_data(arguments[0])
    write_sample_volumes(Path(arguments[0]) / "volumes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
