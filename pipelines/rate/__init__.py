"""Human evaluation: pages on which raters choose between two systems, and the tally of votes."""
