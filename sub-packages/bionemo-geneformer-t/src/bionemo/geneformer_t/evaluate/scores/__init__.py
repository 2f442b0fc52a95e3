"""What is measured on a prediction, one kind of score a file."""
