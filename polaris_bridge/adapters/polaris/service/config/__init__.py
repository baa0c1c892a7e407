"""The configuration centre as native clients know it."""
