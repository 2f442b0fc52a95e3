"""What can be measured on a graph of successors, one kind of question a file."""
