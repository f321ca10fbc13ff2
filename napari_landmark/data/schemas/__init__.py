"""Published schemas of the files of a study: what other programs may rely on."""
