"""The pages: Choose, Train, Play, Real or bot?, Blend, Explore, Gallery, and one for each bot."""
