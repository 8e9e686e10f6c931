"""Kill it, fill its disk, race it, cut its power: what must survive does."""
