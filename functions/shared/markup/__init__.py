"""Foreign text on its way in and out: HTML of Canvas and of web pages, Markdown of models, and plain text."""
