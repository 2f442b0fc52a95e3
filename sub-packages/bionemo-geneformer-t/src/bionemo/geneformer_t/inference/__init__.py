"""What a trained model is asked: the next cell of a data set."""
