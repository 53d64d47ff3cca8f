"""Storage as clients see it, held to what the real server was recorded to answer."""
