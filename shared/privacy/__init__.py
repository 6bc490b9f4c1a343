"""One person's data: found through the tag's index, given out, erased."""
