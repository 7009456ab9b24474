"""Outside systems with real protocols and ground truth inside."""
