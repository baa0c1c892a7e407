"""What a stream is told and when, and the world of resources that it is told of. No transport here."""
