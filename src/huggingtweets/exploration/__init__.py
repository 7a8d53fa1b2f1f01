"""What authors write about and how: topics, maps, writing style, and who writes like whom."""
