"""Files written whole or not at all, and plain containers (NRRD, displacement vectors)."""
