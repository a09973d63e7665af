"""Pages of tags: the library, what was done with tags, who waits for them, rules, computed tags."""
