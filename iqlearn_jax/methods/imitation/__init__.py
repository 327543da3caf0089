"""Online imitation: methods that learn a reward, or fix one, and run RL on it."""
