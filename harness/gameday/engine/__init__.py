"""One run, from the plan to the verdict: the nine steps and what they need."""
