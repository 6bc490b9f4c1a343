"""What demo and proofs do with a running stack: play eMabler, operate, look, compare."""
