"""What the rows of scores are called: the model, its controls, and what it is compared with."""

MODEL = "the model"
RANDOM_WEIGHTS = "a model of random weights"
SHUFFLED = "a model of shuffled successors"
EXPORTED = "the exported network alone"
SIMULATOR = "the simulator's own distribution"
SIMILAR = "successors of similar cells"
