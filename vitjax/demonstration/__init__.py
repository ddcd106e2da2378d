"""The page on which a run says what it sees while one draws."""
