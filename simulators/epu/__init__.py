"""A simulated EPU microscope: a ground truth, its files in EPU's format, and its acquisition."""
