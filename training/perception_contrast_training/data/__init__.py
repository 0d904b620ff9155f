"""Images, words and what they have to do with each other."""
