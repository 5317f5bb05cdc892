"""Score pictures of any generator against captions and a reference set, as the paper does."""
