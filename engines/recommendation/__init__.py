"""Which persona suits a user and a question: an ensemble of three scorers, taught by interactions and feedback."""
