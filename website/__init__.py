"""The static site: README, docs/ and docs/results/ as pages; reads files only and knows no jax."""
