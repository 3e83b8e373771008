"""Who is worked for with shards, how many at a time and until when; all others get a resident slate at once."""
