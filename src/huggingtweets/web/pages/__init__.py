"""The pages: Choose, Train, Play, Real or bot?, Blend, Gallery, and one for each bot."""
