"""What is beyond its age is deleted: which ages, what goes with what, and how a run goes on."""
