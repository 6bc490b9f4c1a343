"""The store against eMabler's books."""
