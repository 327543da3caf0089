"""Tables, figures and one page from the result files of runs; knows nothing of training."""
