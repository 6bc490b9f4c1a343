"""What eMabler's REST answers mean: one reader for each kind of item, pure and tolerant."""
