"""What orders of collection are worth: planners compared in a closed loop, on simulated grids."""
