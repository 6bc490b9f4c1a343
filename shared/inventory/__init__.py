"""eMabler's inventory: which chargers, sockets and sites there are."""
