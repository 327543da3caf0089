"""What `make site` does besides MkDocs: hooks, and the scripts and colours that pages load."""
