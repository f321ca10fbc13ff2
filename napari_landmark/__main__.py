"""`python -m napari_landmark`: the commands of the terminal, also where their script is not on the path."""

from napari_landmark.cli.app import main

if __name__ == "__main__":
    main()
