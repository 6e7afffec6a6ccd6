"""The rules and the state of the imitation, without HTTP."""
