"""Update a bot with what its authors wrote since, and go back to an older version of it."""
